"""What keeps rows although the policy misreads the table: properties over all there is to misread."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from maintenance.catalog.models import Column, MarkedTable, Partition, Snapshot
from maintenance.ddl.marks import marked
from maintenance.engine.findings import FindingKind, Severity
from maintenance.engine.plans import Plan
from maintenance.engine.requests import EVERYTHING
from maintenance.keys import Encoding, KeyCodec, KeyEncoding, Snowflake, intervals_of
from maintenance.names import QualifiedName
from maintenance.partitioning.expiry import cutoff, expired, spans_of
from maintenance.partitioning.fitness import unfit
from maintenance.periods import Interval, Period, period_at
from maintenance.policy import PartitionPolicy
from maintenance.retention.counting import Candidate, partitions_in_use
from maintenance.retention.evidence import NO_EVIDENCE, Evidence, Seen
from maintenance.retention.hindrances import Hindrances
from maintenance.retention.plan import plan
from tests.snapshots import EVENTS, NOW, a_policy, a_snapshot, a_table, months

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
    (section,) = a_policy({"encoding": encoding, "interval": interval, **keys}).partitions
    return section


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
        bound = f"FOR VALUES FROM ({codec.literal(lower)}) TO ({codec.literal(upper)})"
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
    due = [i for i in expired(policy, policy.retention, truth.snapshot, NOW) if i.held is None]
    each = Candidate(policy, spans_of(policy, truth.snapshot), due)
    in_use = {partition.oid for partition in partitions_in_use(each, NOW)}
    return Evidence(rowless=frozenset() if in_use & truth.filled else frozenset({EVENTS}))


def retired(truth: Truth, encoding: Any, interval: str, **keys: Any) -> Plan:
    """Plan the retention of a table by a policy that may misread it."""
    retention = {"action": "drop", "max_per_run": 1000, **keys.pop("retention")}
    policy = a_policy({"encoding": encoding, "interval": interval, "retention": retention, **keys})
    (section,) = policy.partitions
    fit = unfit(section, truth.snapshot, NOW) is None
    seen = Hindrances(evidence=evidence_of(truth, section) if fit else NO_EVIDENCE)
    return plan(policy, truth.snapshot, NOW, EVERYTHING, seen)


def gone(result: Plan) -> set[int]:
    return {int(action.preconditions["oid"]) for action in result.actions}


def kinds(result: Plan) -> set[str]:
    return {finding.kind.value for finding in result.findings}


def can_write(encoding: Any, interval: str) -> bool:
    return Interval(interval) in intervals_of(a_section(encoding, "1 year").encoding)


def times(interval: str, n: int) -> str:
    count, unit = interval.split()
    return f"{n * int(count)} {unit.rstrip(chr(115))}s"


@st.composite
def truths(draw: st.DrawFn) -> Truth:
    encoding = WRITTEN[draw(st.sampled_from(sorted(WRITTEN)))]
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


@given(
    st.one_of(truths(), st.builds(both, truths(), truths())),
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
    (read,) = a_policy(
        {
            "encoding": encoding,
            "interval": section.interval.value,
            "time_zone": zone,
            "retention": retention,
        }
    ).partitions
    assert read.retention is not None
    limit = cutoff(read.retention, read, NOW)
    assert gone(result) == {oid for oid, upper in truth.uppers.items() if upper <= limit}
