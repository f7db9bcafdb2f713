"""What keeps rows although the policy misreads the table, as properties over all misreadings."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from maintenance.catalog.history import History
from maintenance.catalog.models import Column, MarkedTable, Partition, Snapshot
from maintenance.ddl.marks import marked
from maintenance.engine.findings import FindingKind, Severity
from maintenance.engine.plan import Plan
from maintenance.names import QualifiedName
from maintenance.partition_key import KeyCodec, Snowflake, intervals_of
from maintenance.partition_set.expiry import cutoff, expired_of, spans_of
from maintenance.partition_set.validate import validate
from maintenance.periods import Interval, Period, period_at
from maintenance.policy import PartitionPolicy, Policy
from maintenance.subjects.retention.assess import RetentionState
from maintenance.subjects.retention.evidence import NO_EVIDENCE, Evidence, InsertReading, Taken
from maintenance.subjects.retention.insert_counts import partitions_in_use
from maintenance.subjects.retention.models import Blockers
from tests.snapshots import EVENTS, NOW, a_policy, a_snapshot, a_table, months, retention_planned

TWITTER = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=1288834974657)
WRITTEN: dict[str, Any] = {
    "epoch_s": "epoch_s",
    "epoch_ms": "epoch_ms",
    "epoch_us": "epoch_us",
    "yyyy": "yyyy",
    "yyyymm": "yyyymm",
    "yyyymmdd": "yyyymmdd",
    "discord": {"snowflake": {"epoch": "2015-01-01"}},
    "twitter": {"snowflake": {"epoch": TWITTER.isoformat(), "shift": 22}},
    "own epoch": {"snowflake": {"epoch": "2020-01-01", "shift": 22}},
    "odd epoch": {"snowflake": {"epoch": "2019-07-03", "shift": 22}},
}
"""Encodings of integers as a policy writes them."""

NAMES: dict[str, Callable[[Period, int], str]] = {
    "template": lambda period, _: f"events_{period.key.replace('-', '_')}",
    "digits": lambda period, _: f"events_p{period.key.replace('-', '')}",
    "iso week": lambda period, _: "events_{}w{:02}".format(*period.start.isocalendar()),
    "serial": lambda _, number: f"events_{number}",
    "upper": lambda period, _: f"EVENTS {period.start:%Y%m%d}",
    "nothing": lambda _, number: "events_" + "abcdefghijklmnopqrstuvwxyz"[number % 26] * 3,
}


@dataclass(frozen=True)
class Truth:
    """A table as it really is: what its bounds mean, whatever a policy says of them."""

    section: PartitionPolicy
    snapshot: Snapshot
    uppers: dict[int, datetime]
    filled: frozenset[int]


def a_section(encoding: Any, interval: str, **keys: Any) -> PartitionPolicy:
    return the_policy(json.dumps({"encoding": encoding, "interval": interval, **keys})).partitions[
        0
    ]


@cache
def the_policy(section: str) -> Policy:
    """The policy of one table; reading one takes as long as planning ten."""
    return a_policy(json.loads(section))


def a_truth(
    encoding: Any, interval: str, last: int, number: int, name: str = "template", **keys: Any
) -> Truth:
    """A table with `number` partitions, the newest `last` periods away from now, all with rows."""
    section = a_section(encoding, interval, **keys)
    codec = KeyCodec(section.encoding, "bigint", section.time_zone)
    newest = period_at(NOW, section.interval, section.time_zone).shift(last)
    found: list[Partition] = []
    uppers: dict[int, datetime] = {}
    filled: set[int] = set()
    for place, back in enumerate(reversed(range(number)), start=1):
        period = newest.shift(-back)
        lower, upper = period.bounds(section.time_zone)
        first, last_end = map(codec.literal, period.bounds(codec.calendar))
        bound = f"FOR VALUES FROM ({first}) TO ({last_end})"
        relation = QualifiedName("public", NAMES[name](period, place))
        found.append(Partition(place, relation, "r", False, 0, -1, bound))
        uppers[place] = upper
        if lower <= NOW:
            filled.add(place)
    table = a_table(found, columns=(Column("id", "bigint"), Column("at", "bigint")))
    return Truth(section, a_snapshot(table), uppers, frozenset(filled))


def both(one: Truth, other: Truth) -> Truth:
    """One table with the partitions of two."""
    shifted = [p._replace(oid=p.oid + 1000) for p in other.snapshot.tables[EVENTS].partitions]
    table = one.snapshot.tables[EVENTS]
    whole = replace(table, partitions=(*table.partitions, *shifted))
    uppers = one.uppers | {oid + 1000: upper for oid, upper in other.uppers.items()}
    filled = one.filled | {oid + 1000 for oid in other.filled}
    return Truth(one.section, a_snapshot(whole), uppers, frozenset(filled))


def evidence_of(truth: Truth, policy: PartitionPolicy) -> Evidence:
    """What a first look would see of the rows of a table, read by a policy."""
    assert policy.retention is not None
    spans = spans_of(policy, truth.snapshot)
    expired = expired_of(spans, policy, policy.retention, truth.snapshot, NOW)
    each = RetentionState(policy, policy.time_zone, spans, expired)
    in_use = {partition.oid for partition in partitions_in_use(each, NOW)}
    return Evidence(rowless=frozenset() if in_use & truth.filled else frozenset({EVENTS}))


def retired(truth: Truth, encoding: Any, interval: str, **keys: Any) -> Plan:
    """Plan the retention of a table by a policy that may misread it."""
    retention = {"action": "drop", "max_per_run": 1000, **keys.pop("retention")}
    written = {"encoding": encoding, "interval": interval, "retention": retention, **keys}
    policy = the_policy(json.dumps(written))
    (section,) = policy.partitions
    fit = validate(section, truth.snapshot, NOW) is None
    seen = Blockers(evidence=evidence_of(truth, section) if fit else NO_EVIDENCE)
    return retention_planned(policy, truth.snapshot, seen)


def gone(result: Plan) -> set[int]:
    return {int(action.preconditions["oid"]) for action in result.actions}


def kinds(result: Plan) -> set[str]:
    return {finding.kind.value for finding in result.findings}


def can_write(encoding: Any, interval: str) -> bool:
    return Interval(interval) in intervals_of(a_section(encoding, "1 year").encoding)


def times(interval: str, n: int) -> str:
    count, unit = interval.split()
    return f"{n * int(count)} {unit.removesuffix('s')}s"


@st.composite
def truths(draw: st.DrawFn, encodings: Sequence[str] = tuple(WRITTEN)) -> Truth:
    encoding = WRITTEN[draw(st.sampled_from(encodings))]
    interval = draw(st.sampled_from([i.value for i in Interval]))
    assume(can_write(encoding, interval))
    return a_truth(
        encoding,
        interval,
        last=draw(st.integers(-2, 4)),
        number=draw(st.integers(1, 30)),
        name=draw(st.sampled_from(sorted(NAMES))),
        time_zone=draw(st.sampled_from(["UTC", "Europe/Berlin", "America/Havana"])),
    )


@st.composite
def mixtures(draw: st.DrawFn) -> Truth:
    """Tables that a wrong policy has given partitions of another encoding."""
    one, other = draw(truths()), draw(truths())
    encodings = {one.section.encoding, other.section.encoding}
    # Nothing in the bounds tells one unknown epoch from another within one table.
    assume(len(encodings) == 1 or not all(isinstance(e, Snowflake) for e in encodings))
    return both(one, other)


@given(
    st.one_of(truths(), mixtures()),
    st.sampled_from(sorted(WRITTEN)),
    st.sampled_from([i.value for i in Interval]),
    st.integers(1, 20),
)
def test_no_policy_retires_a_row_younger_than_it_keeps(
    truth: Truth, encoding: str, interval: str, keep: int
) -> None:
    """Whatever a policy takes the bounds for: what goes has really ended `keep` ago."""
    assume(can_write(WRITTEN[encoding], interval))
    zone = truth.section.time_zone.key
    retention = {"keep": times(interval, keep)}
    result = retired(truth, WRITTEN[encoding], interval, time_zone=zone, retention=retention)
    section = a_section(WRITTEN[encoding], interval, time_zone=zone, retention=retention)
    assert section.retention is not None
    limit = cutoff(section.retention, section, NOW)
    for oid in gone(result):
        assert truth.uppers[oid] <= limit
    newest = max(truth.uppers, key=lambda oid: truth.uppers[oid])
    assert newest not in gone(result)


KNOWN = [name for name in sorted(WRITTEN) if name not in ("own epoch", "odd epoch")]


@given(truths(KNOWN), st.sampled_from(KNOWN), st.integers(1, 20))
def test_bounds_that_another_encoding_reads_as_young_are_kept_also_if_nothing_stops_the_table(
    truth: Truth, encoding: str, keep: int
) -> None:
    interval = truth.section.interval.value
    assume(can_write(WRITTEN[encoding], interval))
    zone = truth.section.time_zone.key
    retention = {"keep": times(interval, keep)}
    with patch("maintenance.subjects.retention.assess.validate", return_value=None):
        result = retired(truth, WRITTEN[encoding], interval, time_zone=zone, retention=retention)
    section = a_section(WRITTEN[encoding], interval, time_zone=zone, retention=retention)
    assert section.retention is not None
    limit = cutoff(section.retention, section, NOW)
    assert all(truth.uppers[oid] <= limit for oid in gone(result))


@given(truths(), st.integers(1, 20))
def test_right_policy_retires_all_that_has_expired(truth: Truth, keep: int) -> None:
    """The safeguards keep nothing of a table that is in use and read rightly."""
    section = truth.section
    encoding = next(
        written
        for written in WRITTEN.values()
        if a_section(written, "1 year").encoding == section.encoding
    )
    # A table that was not written to in the present is doubted, and so is one begun just now.
    assume(max(truth.uppers.values()) > NOW and len(truth.filled) > 1)
    retention = {"keep": times(section.interval.value, keep)}
    zone = section.time_zone.key
    result = retired(truth, encoding, section.interval.value, time_zone=zone, retention=retention)
    read = a_section(encoding, section.interval.value, time_zone=zone, retention=retention)
    assert read.retention is not None
    limit = cutoff(read.retention, read, NOW)
    assert gone(result) == {oid for oid, upper in truth.uppers.items() if upper <= limit}


def keeping(*partitions: Partition, evidence: Evidence = NO_EVIDENCE, **facts: Any) -> Plan:
    """Plan `public.events` (native, months, keep 2 months) on 2026-11-20."""
    policy = a_policy({"retention": {"keep": "2 months", "action": "drop", "max_per_run": 100}})
    table = a_table(
        [partition._replace(oid=place) for place, partition in enumerate(partitions, start=1)]
    )
    return retention_planned(policy, a_snapshot(table, **facts), Blockers(evidence=evidence))


@pytest.mark.parametrize(
    "name",
    [
        "events_2026_11",
        "events_p202611",
        "EVENTS 2026-11",
        "events_2026w48",
        "events_2026_w48",
        "events_2026q4",
        "events_20261128",
        "events_2026_11_28_old",
        "events_202611281200",
        "events_2027",
        "events_1795824000",
        "events_p1795824000000",
        "events_2020_01_to_2026_11",
    ],
)
def test_partition_whose_name_tells_a_kept_period_stays(name: str) -> None:
    odd, *others = months("2026-01", "2026-01") + months("2026-10", "2026-11")
    result = keeping(odd._replace(relation=QualifiedName("public", name)), *others)
    assert gone(result) == set()
    (finding,) = [f for f in result.findings if f.kind is FindingKind.RETENTION_DUE]
    assert finding.severity is Severity.WARN
    assert name in finding.message


@pytest.mark.parametrize(
    "name",
    [
        "events_2026_01",
        "events_2026_02",  # named by the day after its last
        "events_p2026",  # of a whole year, which holds the month
        "events_2026_a",
        "events_2026w01",
        "events_7",
        "events_p5000",
        "events_123456789",
        "archive of events",
        "events_jan2026",
        "events_1999_12",
        "events_202699",
    ],
)
def test_name_that_agrees_or_tells_nothing_keeps_nothing(name: str) -> None:
    odd, *others = months("2026-01", "2026-01") + months("2026-10", "2026-11")
    result = keeping(odd._replace(relation=QualifiedName("public", name)), *others)
    assert gone(result) == {1}


def test_name_of_the_table_itself_tells_nothing() -> None:
    policy = a_policy(
        {
            "table": "public.log2027",
            "retention": {"keep": "2 months", "action": "drop"},
        }
    )
    named = [
        partition._replace(oid=place, relation=QualifiedName("public", f"log2027_{place}"))
        for place, partition in enumerate(months("2026-07", "2026-11"))
    ]
    table = a_table(named, relation=QualifiedName("public", "log2027"))
    assert gone(retention_planned(policy, a_snapshot(table))) == {0, 1}


def test_newest_partition_stays() -> None:
    assert gone(keeping(*months("2026-01", "2026-03"))) == set()  # and the first run nothing else
    begun = Evidence(retired_before=frozenset({EVENTS}))
    assert gone(keeping(*months("2026-01", "2026-03"), evidence=begun)) == {1, 2}


def test_first_retirement_of_everything_retires_nothing_whatever_the_fuse() -> None:
    result = keeping(*months("2026-01", "2026-06"))
    assert (gone(result), "retention_fuse" in kinds(result)) == (set(), True)
    created = months("2026-10", "2027-02")
    assert gone(keeping(*months("2026-01", "2026-06"), *created)) == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize(
    ("before", "inserted", "stays"),
    [
        (InsertReading(5), 5, False),
        (InsertReading(5), 6, True),
        (InsertReading(5), 0, False),  # counters were reset, nothing came since
        (InsertReading(5), 3, True),  # counters were reset, and rows came since
        (InsertReading(5, Taken(2, NOW - timedelta(hours=1))), 5, True),
        (InsertReading(5, Taken(2, NOW - timedelta(hours=23))), 5, False),
        (None, 7, False),  # the first look
    ],
)
def test_partition_that_took_rows_since_the_last_look_stays(
    before: InsertReading | None, inserted: int, stays: bool
) -> None:
    evidence = Evidence({1: inserted}, {} if before is None else {1: before})
    result = keeping(
        *months("2026-01", "2026-01"), *months("2026-10", "2026-11"), evidence=evidence
    )
    assert gone(result) == (set() if stays else {1})


@pytest.mark.parametrize(
    ("name", "bound", "stays"),
    [
        (
            "events_old",
            "FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('2026-02-01 00:00:00+00')",
            False,
        ),
        (
            "events_old",
            "FOR VALUES FROM ('2026-09-01 00:00:00+00') TO ('2026-10-01 00:00:00+00')",
            True,
        ),
        ("events_2026_10", "edited by hand", True),
        ("events_2026_01", "edited by hand", False),
    ],
)
def test_detached_table_that_the_policy_keeps_by_now_is_not_dropped(
    name: str, bound: str, stays: bool
) -> None:
    mark = {
        "detached_from": "public.events",
        "bound": bound,
        "period": "2026-01",
        "at": "2026-11-01T00:00:00+00:00",
    }
    table = MarkedTable(9, QualifiedName("public", name), marked(None, mark), False, 0, "owner")
    history = History(detached_from={9: frozenset({"public.events"})})
    result = keeping(*months("2026-10", "2026-11"), marked=(table,), history=history)
    assert gone(result) == (set() if stays else {9})
