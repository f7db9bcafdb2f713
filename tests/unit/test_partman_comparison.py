"""What pg_partman removes and creates, and what a policy would: equal, or a difference is shown."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from maintenance.catalog.models import Partition
from maintenance.catalog.partman import PartmanTable
from maintenance.inspection.partman import compare_horizon, compare_retention, read_span
from maintenance.names import QualifiedName
from maintenance.partition_key import KeyCodec
from maintenance.partition_set.bounds import Span, coverage_of
from maintenance.periods import CalendarSpan, Period, period_at
from maintenance.policy import PartitionPolicy, RetentionPolicy

NOW = datetime(2026, 11, 29, 10, 0, 30, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")


def section(interval: str = "1 month", zone: str = "UTC", premake: int = 4) -> PartitionPolicy:
    return PartitionPolicy.model_validate(
        {
            "table": "events",
            "column": "at",
            "interval": interval,
            "time_zone": zone,
            "premake": premake,
        }
    )


def codec(policy: PartitionPolicy, column_type: str = "timestamp with time zone") -> KeyCodec:
    return KeyCodec(policy.encoding, column_type, policy.time_zone)


def spans(policy: PartitionPolicy, of: KeyCodec, n: int = 14) -> list[Span]:
    current = period_at(NOW, policy.interval, policy.time_zone)
    periods: list[Period] = [current.shift(place) for place in range(-n, 4)]
    partitions: list[Partition] = []
    for oid, period in enumerate(periods, 1):
        lower, upper = map(of.literal, period.bounds(of.calendar))
        bound = f"FOR VALUES FROM ({lower}) TO ({upper})"
        name = QualifiedName("public", f"events_{period}")
        partitions.append(Partition(oid, name, "r", False, 1, 1, bound))
    return list(coverage_of(partitions, of).spans)


def keep(text: str) -> RetentionPolicy:
    return RetentionPolicy.model_validate({"keep": text, "action": "drop"})


def config(**changes: object) -> PartmanTable:
    relation, own = QualifiedName("public", "events"), QualifiedName("partman", "part_config")
    settings: dict[str, object] = {"control": "at", "interval": "1 mon", "premake": 4, **changes}
    return PartmanTable(relation, own, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("interval", "retention"),
    [
        ("1 month", "12 months"),
        ("1 month", "400 days"),
        ("1 month", "1 year 1 month 3 days"),
        ("1 day", "30 days"),
        ("1 day", "1 month"),
        ("1 week", "6 weeks"),
        ("3 months", "2 years"),
        ("1 year", "3 years"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Sao_Paulo"])
def test_both_remove_the_same_partitions_in_the_zone_of_the_bounds(
    interval: str, retention: str, zone: str
) -> None:
    policy = section(interval, zone)
    of = codec(policy)
    compared = compare_retention(
        policy, keep(retention), spans(policy, of), of, ZoneInfo(zone), NOW
    )
    assert compared.difference is None
    assert compared.n_moments > 2000


def test_another_zone_of_pg_partmans_sessions_is_a_difference() -> None:
    policy = section("1 day", "Europe/Berlin")
    of = codec(policy)
    compared = compare_retention(policy, keep("30 days"), spans(policy, of), of, UTC_ZONE, NOW)
    assert compared.difference is not None


@pytest.mark.parametrize("column_type", ["date", "timestamp without time zone"])
def test_key_without_a_zone_is_compared_in_the_policys(column_type: str) -> None:
    policy = section("1 day", "Europe/Berlin")
    of = codec(policy, column_type)
    same = compare_retention(policy, keep("30 days"), spans(policy, of), of, BERLIN, NOW)
    assert same.difference is None
    other = section("1 day", "UTC")
    of = codec(other, column_type)
    drifted = compare_retention(other, keep("30 days"), spans(other, of), of, BERLIN, NOW)
    assert drifted.difference is not None


def test_partition_that_is_wider_than_the_interval_is_a_difference() -> None:
    # pg_partman adds the interval to its beginning, and would remove rows that are not old enough.
    policy = section("1 month")
    of = codec(policy)
    first, *others = spans(policy, of)
    wide = first._replace(lower=first.lower - timedelta(days=300))
    compared = compare_retention(policy, keep("15 months"), [wide, *others], of, UTC_ZONE, NOW)
    assert compared.difference is not None


@pytest.mark.parametrize("premake", [1, 4, 12])
@pytest.mark.parametrize(
    ("interval", "written"), [("1 month", "1 mon"), ("1 week", "7 days"), ("1 day", "1 day")]
)
def test_both_have_the_same_horizon_while_rows_arrive(
    interval: str, written: str, premake: int
) -> None:
    found = config(interval=written, premake=premake)
    policy = section(interval, premake=premake)
    assert compare_horizon(policy, found, UTC_ZONE, NOW).difference is None


def test_rounding_of_an_endless_horizon_is_a_difference() -> None:
    found = config(is_endless=True)
    difference = compare_horizon(section(), found, UTC_ZONE, NOW).difference
    assert difference is not None
    assert difference.partman > difference.ours


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("12 months", CalendarSpan(12, 0)),
        ("1 mon", CalendarSpan(1, 0)),
        ("1 year 2 mons 3 days", CalendarSpan(14, 3)),
        ("2 weeks", CalendarSpan(0, 14)),
        ("30 days 00:00:00", CalendarSpan(0, 30)),
        ("36:00:00", None),
        ("10000", None),
        ("1 day 12:00:00", None),
        ("-1 days", None),
        ("", None),
        ("0 days", None),
    ],
)
def test_intervals_of_whole_days_are_read(text: str, span: CalendarSpan | None) -> None:
    assert read_span(text) == span
