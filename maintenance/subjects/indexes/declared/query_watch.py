"""What became of declared queries and new indexes since: changed plans, use, the review. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from maintenance.names import QualifiedName
from maintenance.subjects.indexes.declared.plan_reader import QueryPlan
from maintenance.subjects.indexes.declared.proof import SMALLEST_MS
from maintenance.subjects.indexes.declared.query_models import (
    Measurement,
    PlanMode,
    QueryKey,
    Timing,
)
from maintenance.subjects.indexes.usage import ServerUsage

MUCH_DEARER = 2.0
"""A changed plan whose cost grew so many times is a warning."""


class PlanBaseline(NamedTuple):
    """An earlier plan of one query with one set of parameters."""

    taken_at: datetime
    mode: PlanMode
    plan: QueryPlan


@dataclass(frozen=True, slots=True)
class TimedProof:
    """The times of one query before and after the build of an index.

    Attributes:
        index: its name, quoted.
        is_replanned: whether its plan became another one.
    """

    index: str
    key: QueryKey
    taken_at: datetime
    before_ms: tuple[float, ...]
    after_ms: tuple[float, ...]
    is_replanned: bool = True

    @property
    def slower(self) -> float | None:
        """How many times slower it became by another plan; None if that is not proven."""
        before, after = Timing(self.before_ms), Timing(self.after_ms)
        is_apart = after.range_ms[0] > before.range_ms[1]
        difference = after.median_ms - before.median_ms
        if not is_apart or difference < SMALLEST_MS or not self.is_replanned:
            return None
        return after.median_ms / max(before.median_ms, 0.001)


def faster(proofs: Sequence[TimedProof]) -> float | None:
    """Return how many times faster queries became together; None if that is not proven."""
    before = [Timing(each.before_ms) for each in proofs]
    after = [Timing(each.after_ms) for each in proofs]
    if not before or sum(t.range_ms[1] for t in after) >= sum(t.range_ms[0] for t in before):
        return None
    return sum(t.median_ms for t in before) / max(sum(t.median_ms for t in after), 0.001)


class PlanChange(NamedTuple):
    """A query whose plan is another one than before.

    Attributes:
        cost_ratio: the cost now, as a multiple of the cost before.
        lost: indexes that it no longer uses.
    """

    key: QueryKey
    before: PlanBaseline
    now: QueryPlan
    cost_ratio: float
    lost: frozenset[QualifiedName]

    @property
    def is_worse(self) -> bool:
        """Whether the planner itself expects it to be much slower."""
        return self.cost_ratio >= MUCH_DEARER


def changed_plans(
    baselines: Mapping[QueryKey, PlanBaseline], plans: Sequence[Measurement]
) -> Iterator[PlanChange]:
    """Yield the queries whose plan changed since their baseline."""
    for each in plans:
        before, now = baselines.get(each.key), each.plan
        if before is None or now is None or before.plan.digest == now.digest:
            continue
        ratio = now.cost / before.plan.cost if before.plan.cost > 0 else 1.0
        lost = before.plan.indexes - now.indexes
        yield PlanChange(each.key, before, now, ratio, lost)


class Built(NamedTuple):
    """The build of an index by a run.

    Attributes:
        at: when it ended.
        table_reads: scans of its table and of the table's indexes on the primary until then; None
            if it was not noted.
    """

    at: datetime
    table_reads: int | None = None


class WatchState(StrEnum):
    """What the use of a new index is."""

    SCANNED = "scanned"
    YOUNG = "young"
    UNSCANNED = "not scanned"
    UNREAD = "table not read"
    """Nor was its table by any other way, so nothing can be said of it."""
    UNKNOWN = "unknown"
    """The counters of a server do not reach back to its build."""


@dataclass(frozen=True, slots=True)
class WatchedIndex:
    """An index that a run built.

    Attributes:
        scans: on all servers, since the counters began.
        gaps: why counters are incomplete, by server.
        own: so many of the scans may be ours, where the server counts them.
        table_reads: scans of its table, by any index or none, since it was built; None if unknown.
    """

    relation: QualifiedName
    table: QualifiedName
    built_at: datetime
    scans: int
    gaps: Mapping[str, str]
    own: int = 0
    table_reads: int | None = None

    def age(self, now: datetime) -> timedelta:
        """Return the time since it was built."""
        return now - self.built_at

    def state(self, now: datetime, patience: timedelta) -> WatchState:
        """Return what its use is.

        Args:
            now: the current time.
            patience: how long an index may be unused.
        """
        if self.scans > self.own:
            return WatchState.SCANNED
        if self.age(now) < patience:
            return WatchState.YOUNG
        if self.gaps or self.scans:
            return WatchState.UNKNOWN
        return WatchState.UNREAD if self.table_reads == 0 else WatchState.UNSCANNED


def watched(
    relation: QualifiedName,
    table: QualifiedName,
    oids: Sequence[int],
    built_at: datetime,
    witnesses: Sequence[ServerUsage],
    own: int = 0,
    table_reads: int | None = None,
) -> WatchedIndex:
    """Return the use of a new index, whose counters began at 0 when it was built.

    Args:
        relation: the index.
        table: its table.
        oids: of it, or of the indexes attached to it.
        built_at: when.
        witnesses: all servers.
        own: the most scans of ours that the server counted.
        table_reads: scans of its table since then; None if unknown.
    """
    scans = sum(witness.scans(oid) for witness in witnesses for oid in oids)
    gaps = {
        witness.name: gap for witness in witnesses if (gap := _gap(witness, built_at)) is not None
    }
    return WatchedIndex(relation, table, built_at, scans, gaps, own, table_reads)


def _gap(witness: ServerUsage, built_at: datetime) -> str | None:
    """Return why a server's counters do not tell all scans since a moment."""
    usage = witness.usage
    if usage is None:
        return witness.silence or "not reachable"
    if not usage.is_counting:
        return "track_counts is off"
    if usage.epoch.began_at > built_at:
        return f"its counters began on {usage.epoch.began_at:%Y-%m-%d %H:%M}"
    seen_since = witness.watched_since
    if usage.epoch.timeline > 1 and (seen_since is None or seen_since > built_at):
        return "it was promoted at an unknown time"
    return None
