"""Partitions with other bounds than the policy's: bridged where they end, told if they hold all."""

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from maintenance.catalog.models import Column, Partition, Table
from maintenance.engine.actions import Action
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.plan import Plan
from maintenance.names import MAX_NAME_BYTES, QualifiedName
from maintenance.partition_key import FUTURE, PAST, Encoding, KeyCodec
from maintenance.partition_set.bounds import Coverage, coverage_of
from maintenance.periods import Interval, midnight, period_at
from maintenance.policy import Policy
from maintenance.subjects.partitions.state import state_of
from tests.snapshots import NOW, a_partition, a_policy, a_table, months, planned

TIMESTAMPTZ, TIMESTAMP = "timestamp with time zone", "timestamp without time zone"


def bounded(name: str, lower: str, upper: str, **changes: Any) -> Partition:
    """A partition whose bounds are written as the catalog shows them."""
    bound = f"FOR VALUES FROM ({lower}) TO ({upper})"
    return a_partition(name, "2026-01-01", "2026-01-02", bound=bound, **changes)


def keyed(type_: str, partitions: Iterable[Partition] = ()) -> Table:
    return a_table(partitions, columns=(Column("id", "bigint"), Column("at", type_)))


def attached(action: Action, oid: int) -> Partition:
    bound = next(s for s in action.sql if " FOR VALUES " in s).split(" FOR VALUES ")[1]
    schema, _, name = action.object.partition(".")
    relation = QualifiedName(schema, name.strip('"'))
    return Partition(oid, relation, "r", False, 0, -1, f"FOR VALUES {bound}")


def applied(plan: Plan) -> list[Partition]:
    return [attached(action, 1000 + place) for place, action in enumerate(plan.actions)]


def the(plan: Plan, kind: FindingKind) -> Finding:
    (finding,) = [finding for finding in plan.findings if finding.kind is kind]
    return finding


def kinds(plan: Plan) -> dict[str, str]:
    return {finding.kind.value: finding.severity.value for finding in plan.findings}


def weeks_of_prague() -> list[Partition]:
    days = [date(2026, 11, 2) + timedelta(weeks=n) for n in range(4)]
    bounds = [midnight(day, ZoneInfo("Europe/Prague")) for day in [*days, date(2026, 11, 30)]]
    return [
        bounded(f"w{n}", f"'{lower:%Y-%m-%d %H:%M:%S}+00'", f"'{upper:%Y-%m-%d %H:%M:%S}+00'")
        for n, (lower, upper) in enumerate(itertools.pairwise(bounds))
    ]


WEEKLY = a_policy({"interval": "1 week", "premake": 2})
IN_W3 = datetime(2026, 11, 28, 14, tzinfo=UTC)


def test_bounds_of_another_zone_fail_from_the_moment_they_end_and_are_bridged_there() -> None:
    plan = planned(WEEKLY, a_table(weeks_of_prague()), now=IN_W3)
    short = the(plan, FindingKind.PARTITION_HORIZON_SHORT)
    assert (short.severity, short.value) == (Severity.WARN, 0)
    assert short.data["impact_at"] == "2026-11-29T23:00:00+00:00"
    assert [action.object for action in plan.actions] == [
        "public.events_2026_11_23_from_2026_11_29_230000",
        "public.events_2026_11_30",
        "public.events_2026_12_07",
    ]
    after = planned(WEEKLY, a_table([*weeks_of_prague(), *applied(plan)]), now=IN_W3)
    assert not after.actions
    assert kinds(after) == {"partition_time_zone_drift": "info"}


def test_small_hole_between_two_partitions_is_a_gap_to_the_second_and_is_bridged() -> None:
    present = months("2026-08", "2027-02")
    present[1] = bounded("odd", "'2026-09-01 00:00:00+00'", "'2026-09-30 23:15:07+00'")
    plan = planned(a_policy(), a_table(present))
    gap = the(plan, FindingKind.PARTITION_GAP)
    assert gap.data["impact_at"] == "2026-09-30T23:15:07+00:00"
    assert gap.data["ranges"] == [["2026-09-30 23:15:07+00", "2026-10-01 00:00:00+00"]]
    (action,) = plan.actions
    assert "FROM ('2026-09-30 23:15:07+00') TO ('2026-10-01 00:00:00+00')" in action.sql[-1]


def test_hole_that_holds_now_is_an_error_and_begins_where_the_last_partition_ends() -> None:
    half = a_partition("half", "2026-11-01", "2026-11-15")
    plan = planned(a_policy(), a_table([*months("2026-10", "2026-10"), half]))
    short = the(plan, FindingKind.PARTITION_HORIZON_SHORT)
    assert (short.severity, short.data["impact_at"]) == (Severity.ERROR, NOW.isoformat())
    assert short.data["first_missing_key"] == "2026-11-15 00:00:00+00"
    assert len(plan.actions) == 4


def test_what_lies_before_the_oldest_partition_is_wanted_by_a_start_only() -> None:
    late = a_partition("late", "2026-08-20", "2026-09-01")
    present = [late, *months("2026-09", "2027-02")]
    assert not planned(a_policy(), a_table(present)).actions
    (action,) = planned(a_policy({"start": "2026-08"}), a_table(present)).actions
    assert "FROM ('2026-08-01 00:00:00+00') TO ('2026-08-20 00:00:00+00')" in action.sql[-1]


def test_part_that_retention_has_just_taken_is_not_made_again() -> None:
    """Partitions an hour behind the calendar leave an hour of a kept month when one goes."""
    retention = {"keep": "2 months", "action": "drop"}
    shifted = [
        bounded("a", "'2026-10-01 01:00:00+00'", "'2026-11-01 01:00:00+00'"),
        bounded("b", "'2026-11-01 01:00:00+00'", "'2026-12-01 01:00:00+00'"),
        bounded("c", "'2026-12-01 01:00:00+00'", "'2027-01-01 00:00:00+00'"),
    ]
    now = datetime(2026, 12, 1, 12, tzinfo=UTC)
    policy = a_policy({"start": "2026-01", "premake": 1, "retention": retention})
    made = [action.object for action in planned(policy, a_table(shifted), now=now).actions]
    assert made == ["public.events_2027_01"]


def test_names_of_bridges_fit_and_differ_from_each_other_and_from_regular_ones() -> None:
    stem = "t" * 54
    policy = a_policy({"table": f"public.{stem}x"}, {"table": f"public.{stem}y"})
    tables: list[Table] = []
    for section in policy.partitions:
        holes = [
            bounded("a", "'2026-11-01 00:00:00+00'", "'2026-11-05 00:00:00+00'"),
            bounded("b", "'2026-11-06 00:00:00+00'", "'2026-11-07 00:00:00.5+00'"),
        ]
        tables.append(a_table(holes, relation=section.table))
    names = [action.object for action in planned(policy, *tables).actions]
    assert len(names) == len(set(names)) == 10
    assert max(len(name.split(".")[1].encode()) for name in names) <= MAX_NAME_BYTES


def test_taken_name_of_a_bridge_is_told_and_stops_no_other() -> None:
    bridge = QualifiedName("public", "events_2026_11_23_from_2026_11_29_230000")
    plan = planned(WEEKLY, a_table(weeks_of_prague()), now=IN_W3, taken={bridge: "r"})
    assert len(plan.actions) == 2
    assert the(plan, FindingKind.PARTITION_NAME_TAKEN).data["names"] == [str(bridge)]


@pytest.mark.parametrize("type_", [TIMESTAMP, "date"])
@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/Havana", date(2027, 3, 14)),
        ("America/Santiago", date(2027, 9, 5)),
        ("Asia/Beirut", date(2027, 3, 28)),
        ("Africa/Cairo", date(2027, 4, 30)),
        ("America/Havana", date(2027, 11, 7)),  # midnight comes twice
    ],
)
def test_wall_clock_is_compared_as_written(type_: str, zone: str, day: date) -> None:
    policy = a_policy({"interval": "1 day", "time_zone": zone, "premake": 5})
    now = datetime.combine(day - timedelta(days=2), time(15), UTC)
    before = day - timedelta(days=2)
    present = [
        bounded(f"d{n}", f"'{before + timedelta(days=n)}'", f"'{before + timedelta(days=n + 1)}'")
        for n in range(2)
    ]
    if type_ == TIMESTAMP:
        present = [p._replace(bound=(p.bound or "").replace("')", " 00:00:00')")) for p in present]
    first = planned(policy, keyed(type_, present), now=now).actions[0]
    assert first.period == day.isoformat()
    assert f"FROM ('{day}" in first.sql[-1]
    assert "01:00" not in first.sql[-1]


def swallowed(*partitions: Partition, **policy: Any) -> Plan:
    return planned(a_policy(policy), a_table(partitions))


RETENTION = {"keep": "3 months", "action": "drop"}


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ("'2026-07-01 00:00:00+00'", "MAXVALUE"),
        ("'2026-11-20 00:00:00+00'", "'2100-01-01 00:00:00+00'"),
        ("'2026-11-01 00:00:00+00'", "'infinity'"),
        ("'2026-12-01 00:00:00+00'", "MAXVALUE"),
        ("MINVALUE", "MAXVALUE"),
    ],
)
def test_partition_that_takes_all_to_come_is_a_warning_with_what_bounds_it(
    lower: str, upper: str
) -> None:
    present = [] if lower == "MINVALUE" else [a_partition("past", "MINVALUE", "2020-01-01")]
    odd = bounded("future", lower, upper)
    plan = swallowed(*present, odd, retention=RETENTION)
    finding = the(plan, FindingKind.PARTITION_OVERLAP)
    assert finding.severity is Severity.WARN
    assert finding.data["partitions"] == ["public.future"]
    assert any("DETACH PARTITION public.future" in s for s in finding.data["statements"])
    assert finding.data["reasons"] == ["catch_all"]
    assert finding.data["stops_retention"]
    state = state_of(a_policy().partitions[0], a_table([*present, odd]), NOW)
    assert state.ahead == 0


def test_partition_of_a_few_periods_or_far_away_is_no_catch_all() -> None:
    quarter = a_partition("q", "2026-10-01", "2027-01-01")
    stray = a_partition("stray", "2097-01-01", "2099-01-01")
    assert kinds(swallowed(quarter, *months("2027-01", "2027-02"), stray)) == {
        "partition_overlap": "info"
    }


def test_partition_from_minvalue_is_a_warning_as_long_as_retention_cannot_take_it() -> None:
    recent = a_partition("old", "MINVALUE", "2026-10-01")
    rest = months("2026-10", "2027-02")
    plan = swallowed(recent, *rest, retention=RETENTION)
    assert kinds(plan) == {"partition_overlap": "warn", "partition_spans_periods": "info"}
    finding = the(plan, FindingKind.PARTITION_OVERLAP)
    assert finding.data["reasons"] == ["no_lower_bound"]
    assert finding.data["retired_at"].startswith("2027-01-01")
    assert kinds(swallowed(recent, *rest)) == {}
    expired = a_partition("old", "MINVALUE", "2026-07-01")
    assert kinds(swallowed(expired, *months("2026-07", "2027-02"), retention=RETENTION)) == {}


# Properties

zones = st.sampled_from(
    [
        "UTC",
        "America/Havana",
        "America/Asuncion",
        "Asia/Beirut",
        "America/Santiago",
        "Africa/Cairo",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "Europe/Prague",
        "Atlantic/Azores",
    ]
)
intervals = st.sampled_from(list(Interval))
types = st.sampled_from([TIMESTAMPTZ, TIMESTAMP, "date", "bigint"])
days = st.dates(date(2008, 1, 1), date(2030, 12, 31))


def codec_for(type_: str, zone: str) -> KeyCodec:
    encoding = Encoding.EPOCH_MS if type_ == "bigint" else Encoding.NATIVE
    return KeyCodec(encoding, type_, ZoneInfo(zone))


def some_policy(type_: str, zone: str, interval: Interval, premake: int) -> Policy:
    encoding = {"encoding": "epoch_ms"} if type_ == "bigint" else {}
    section = {"interval": interval.value, "time_zone": zone, "premake": premake}
    return a_policy(section | encoding)


@given(types, zones, intervals, days, st.integers(1, 6))
def test_made_partitions_join_without_gap_or_overlap_at_boundaries_of_the_calendar(
    type_: str, zone: str, interval: Interval, day: date, premake: int
) -> None:
    policy, codec = some_policy(type_, zone, interval, premake), codec_for(type_, zone)
    now = datetime.combine(day, time(13, 7), UTC)
    made = applied(planned(policy, keyed(type_), now=now))
    spans = coverage_of(made, codec).spans
    assert len(spans) == premake + 1
    assert all(a.upper == b.lower for a, b in itertools.pairwise(spans))
    for span in spans:
        for position in (span.lower, span.upper):
            local = position.astimezone(codec.calendar)
            assert position == midnight(local.date(), codec.calendar)
            assert (
                period_at(position, interval, codec.calendar).bounds(codec.calendar)[0] == position
            )
    assert planned(policy, keyed(type_, made), now=now) == Plan()


@given(types, zones, intervals, days, st.lists(st.integers(1, 90_000), min_size=2, max_size=8))
def test_odd_partitions_are_bridged_without_gap_or_overlap(
    type_: str, zone: str, interval: Interval, day: date, steps: Sequence[int]
) -> None:
    """Odd bounds lie some minutes, days for dates, apart; every second stretch has a partition."""
    policy, codec = some_policy(type_, zone, interval, 2), codec_for(type_, zone)
    now = datetime.combine(day, time(13, 7), UTC)
    unit = timedelta(days=1) if type_ == "date" else timedelta(minutes=1)
    scale = 1440 if type_ == "date" else 1
    position = codec.position(now).replace(minute=0, second=0, microsecond=0) - timedelta(days=60)
    if type_ == "date":
        position = position.replace(hour=0)
    cuts = [position]
    for step in steps:
        cuts.append(cuts[-1] + unit * max(1, step // scale))
    odd = [
        bounded(f"odd{n}", codec.literal(lower), codec.literal(upper), oid=n)
        for n, (lower, upper) in enumerate(itertools.pairwise(cuts))
        if n % 2 == 0
    ]
    plan = planned(policy, keyed(type_, odd), now=now)
    # Partitions that are all as long as another interval stop the table.
    assume("partition_key_mismatch" not in kinds(plan))
    coverage = coverage_of([*odd, *applied(plan)], codec)
    state = state_of(policy.partitions[0], keyed(type_, odd), now)
    assert_joined(coverage, min(position, codec.position(now)), state.end)
    after = planned(policy, keyed(type_, [*odd, *applied(plan)]), now=now)
    assert not after.actions
    assert not {"partition_horizon_short", "partition_gap"} & kinds(after).keys()


def assert_joined(coverage: Coverage, lower: datetime, upper: datetime) -> None:
    assert coverage.first_hole(lower, upper) is None
    spans = coverage.spans
    assert all(a.upper <= b.lower for a, b in itertools.pairwise(spans))
    assert spans[0].lower > PAST
    assert spans[-1].upper < FUTURE


@given(zones, days, st.integers(0, 26 * 60))
def test_wall_clock_expires_only_after_every_moment_that_it_can_mean(
    zone: str, day: date, minutes: int
) -> None:
    codec = codec_for(TIMESTAMP, zone)
    position = datetime.combine(day, time(), UTC) + timedelta(minutes=minutes)
    first, last = codec.first_moment(position), codec.last_moment(position)
    assert first <= last
    assert codec.position(last) >= position
    assert codec.position(first - timedelta(seconds=1)) < position
