"""Ten years of runs, simulated on the planners: every interval and encoding, a sample of zones.

Each run sees what the one before left. Clocks stand at month ends, at leap days and beside the
jumps of a zone's clock; now and then ours jumps back between two runs.
"""

import random
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from maintenance.catalog.models import Column, Partition, Table
from maintenance.engine.actions import Action
from maintenance.engine.plan import Plan
from maintenance.names import QualifiedName
from maintenance.partition_key import intervals_of
from maintenance.partition_set.bounds import codec_of, coverage_of
from maintenance.partition_set.expiry import cutoff, kept_since
from maintenance.periods import Interval
from maintenance.policy import PartitionPolicy, Policy
from tests.snapshots import a_policy, a_snapshot, a_table, planned, retention_planned

ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "America/Havana", "America/Santiago"),
    *("Asia/Kathmandu", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Kiritimati"),
)
ENCODINGS: dict[str, tuple[Any, str]] = {
    "timestamptz": ("native", "timestamp with time zone"),
    "timestamp": ("native", "timestamp without time zone"),
    "date": ("native", "date"),
    "epoch_s": ("epoch_s", "bigint"),
    "epoch_ms": ("epoch_ms", "bigint"),
    "epoch_us": ("epoch_us", "bigint"),
    "yyyy": ("yyyy", "integer"),
    "yyyymm": ("yyyymm", "integer"),
    "yyyymmdd": ("yyyymmdd", "integer"),
    "uuidv7": ("uuidv7", "uuid"),
    "ulid": ("ulid", "text"),
    "snowflake": ({"snowflake": {"epoch": "2015-01-01", "shift": 22}}, "bigint"),
}
BEGIN, YEARS = 2024, 10
KEPT = 4
"""Intervals that retention keeps."""
PREMADE = 3


@cache
def policy_of(encoding: str, interval: Interval, zone: str) -> Policy:
    count, unit = interval.value.split()
    keep = f"{int(count) * KEPT} {unit.removesuffix('s')}s"
    return a_policy(
        {
            "encoding": ENCODINGS[encoding][0],
            "interval": interval.value,
            "time_zone": zone,
            "premake": PREMADE,
            "retention": {"keep": keep, "action": "drop", "max_per_run": 10_000},
        }
    )


def odd_moments(zone: ZoneInfo, rng: random.Random, thinned: int) -> list[datetime]:
    """Moments of ten years in order: around each month's end, some at odd times, some again."""
    found: list[datetime] = []
    for month in range(YEARS * 12):
        first = datetime(BEGIN + month // 12, month % 12 + 1, 1, tzinfo=zone)
        found += [first + timedelta(seconds=s) for s in (-1, 0, rng.randint(0, 27 * 86_400))]
    found += [datetime(year, 2, 29, 23, 59, 59, tzinfo=zone) for year in (2024, 2028, 2032)]
    moments = sorted(moment.astimezone(UTC) for moment in found)
    return moments[rng.randrange(thinned) :: thinned]


class Simulated:
    """One partitioned table through the years."""

    def __init__(self, encoding: str, interval: Interval, zone: str) -> None:
        self.policy = policy_of(encoding, interval, zone)
        self.section: PartitionPolicy = self.policy.partitions[0]
        self.type = ENCODINGS[encoding][1]
        self.partitions: dict[int, Partition] = {}
        self.n_made = 0
        self.n_retired = 0

    def table(self) -> Table:
        columns = (Column("id", "bigint"), Column("at", self.type))
        return a_table(self.partitions.values(), columns=columns)

    def run(self, now: datetime) -> None:
        """Create, look again, retire: as one run does."""
        for action in planned(self.policy, self.table(), now=now).actions:
            self.attach(action, now)
        again = planned(self.policy, self.table(), now=now)
        assert again == Plan(), f"{now}: {again}"
        self.assert_covered(now)
        retired = retention_planned(self.policy, a_snapshot(self.table()), now=now)
        for oid in {int(action.preconditions["oid"]) for action in retired.actions}:
            self.retire(oid, now)

    def attach(self, action: Action, now: datetime) -> None:
        assert action.refused is None, action.refused
        name = QualifiedName("public", action.object.removeprefix("public."))
        assert name not in {each.relation for each in self.partitions.values()}, name
        bound = "FOR VALUES " + action.sql[-1].split(" FOR VALUES ")[1]
        self.n_made += 1
        made = Partition(self.n_made, name, "r", False, 0, -1, bound)
        self.partitions[made.oid] = made
        upper = self.upper(made)
        assert self.section.retention is not None
        assert upper > cutoff(self.section.retention, self.section, now), f"{now}: {name}"

    def upper(self, partition: Partition) -> datetime:
        """The moment after which no row belongs into a partition."""
        codec = codec_of(self.section, self.table())
        (span,) = coverage_of([partition], codec).spans
        return codec.last_moment(span.upper)

    def retire(self, oid: int, now: datetime) -> None:
        assert self.section.retention is not None
        limit = cutoff(self.section.retention, self.section, now)
        gone = self.partitions.pop(oid)
        assert self.upper(gone) <= limit, f"{now}: {gone.relation} is kept until {limit}"
        self.n_retired += 1

    def assert_covered(self, now: datetime) -> None:
        """Each moment from the oldest that is kept to the horizon is in exactly one partition."""
        codec = codec_of(self.section, self.table())
        spans = coverage_of(self.partitions.values(), codec).spans
        first = kept_since(self.section, now)
        assert first is not None
        kept, _ = first.bounds(codec.calendar)
        for one, other in pairwise(spans):
            has_expired = other.lower <= kept  # what no run came in time for is not made any more
            assert one.upper == other.lower or (has_expired and one.upper < other.lower), now
        for moment in (now, now + timedelta(days=self.section.interval.days * (PREMADE - 1))):
            position = codec.position(moment)
            assert sum(span.lower <= position < span.upper for span in spans) == 1, moment


def can_write(encoding: str, interval: Interval) -> bool:
    return interval in intervals_of(
        policy_of(encoding, Interval.YEAR, "UTC").partitions[0].encoding
    )


CASES = [(e, i) for e in ENCODINGS for i in Interval if can_write(e, i)]


def simulate(encoding: str, interval: Interval, zone: str, thinned: int = 1) -> Simulated:
    """Simulate all years; with only every so-manieth moment, if thinned."""
    rng = random.Random(f"{encoding} {interval} {zone}")
    simulated = Simulated(encoding, interval, zone)
    for now in odd_moments(ZoneInfo(zone), rng, thinned):
        simulated.run(now)
        if rng.random() < 0.05:  # our clock was ahead, or is set back
            simulated.run(now - timedelta(seconds=rng.randint(1, 3 * 86_400)))
    return simulated


FORMS = ("timestamptz", "date", "epoch_ms", "yyyymmdd", "uuidv7")
"""An encoding of each form: a moment, a day, a number that counts, digits, bits of an id."""


def chosen() -> list[tuple[str, Interval, str]]:
    """Cases with each encoding, each zone, and each form with each interval, that it can write.

    A case of days costs ten of years, so encodings that only shift a form's numbers have months.
    """
    pairs = [
        (encoding, interval)
        for encoding, interval in CASES
        if encoding in FORMS or interval is usual(encoding)
    ]
    return [(*pair, ZONES[n % len(ZONES)]) for n, pair in enumerate(pairs)]


def usual(encoding: str) -> Interval:
    """Months where an encoding can write them."""
    return Interval.MONTH if can_write(encoding, Interval.MONTH) else Interval.YEAR


QUICK = chosen()


def test_quick_cases_have_all_that_a_case_can_differ_in() -> None:
    encodings, intervals, zones = (set(values) for values in zip(*QUICK, strict=True))
    assert (encodings, intervals, zones) == (set(ENCODINGS), set(Interval), set(ZONES))


@pytest.mark.parametrize(
    ("encoding", "interval", "zone"), QUICK, ids=lambda v: getattr(v, "value", v)
)
def test_ten_years_in_a_zone_are_covered_once_and_nothing_kept_goes(
    encoding: str, interval: Interval, zone: str
) -> None:
    thinned = 12 if interval is Interval.DAY else 6
    simulated = simulate(encoding, interval, zone, thinned)
    assert simulated.n_made > simulated.n_retired > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("encoding", "interval"), CASES, ids=lambda v: getattr(v, "value", v))
def test_ten_years_in_every_zone_are_covered_once(
    encoding: str, interval: Interval, zone: str
) -> None:
    simulated = simulate(encoding, interval, zone)
    assert simulated.n_made > simulated.n_retired > 0
