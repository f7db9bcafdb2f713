"""Lists the partitions of a table, for reports."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from maintenance.catalog.models import Partition, Snapshot
from maintenance.engine.findings import Finding
from maintenance.engine.scope import EVERYTHING
from maintenance.formatting import PAGE_BYTES
from maintenance.partition_key import FUTURE, PAST
from maintenance.partition_set.bounds import Span
from maintenance.partition_set.expiry import expired_of
from maintenance.periods import period_at
from maintenance.policy import Policy
from maintenance.subjects.partitions.assess import assess
from maintenance.subjects.partitions.state import PartitionState


@dataclass(frozen=True, slots=True)
class PartitionFacts:
    """One partition. Size and rows are estimates of the catalog; rows None before any ANALYZE.

    `period` is the key of the period whose bounds it has exactly, if any. `lower` and `upper`
    are None for the default partition and for an open bound. `retention` is `expired`, `held` or
    None.
    """

    name: str
    period: str | None
    lower: datetime | None
    upper: datetime | None
    size_bytes: int
    n_rows: int | None
    retention: str | None = None


@dataclass(frozen=True, slots=True)
class TableInventory:
    """All partitions of one table, oldest first, the default one last.

    `covered_until` is the moment from which on rows have no partition except the default one.
    `catch_all` is the partition that holds the rows of all periods from some moment on, if any.
    """

    table: str
    interval: str
    ahead: int
    premake: int
    current: str
    horizon: str
    covered_until: datetime
    partitions: tuple[PartitionFacts, ...]
    catch_all: str | None = None

    def holders(self, lower: datetime, upper: datetime) -> tuple[PartitionFacts, ...]:
        """Return the partitions that cover `[lower, upper)`; none if they leave a gap.

        One without a lower bound is among them, such as what a converted table was; one without an
        upper bound is not: it keeps others from being created.
        """
        found: list[PartitionFacts] = []
        for facts in self.partitions:
            if facts.upper is None or facts.upper <= lower:
                continue
            begins_later = facts.lower is not None and facts.lower > lower
            if begins_later or facts.name == self.catch_all:
                break
            found.append(facts)
            lower = facts.upper
            if lower >= upper:
                return tuple(found)
        return ()

    @property
    def size_bytes(self) -> int:
        """Total size of the heaps."""
        return sum(partition.size_bytes for partition in self.partitions)

    @property
    def n_rows(self) -> int:
        """Total of the estimated rows that are known."""
        return sum(partition.n_rows or 0 for partition in self.partitions)

    def as_json(self) -> dict[str, Any]:
        """Return the entry of the table in `status --json`."""
        bounded = [p for p in self.partitions if p.lower is not None or p.upper is not None]
        return {
            "table": self.table,
            "interval": self.interval,
            "ahead": self.ahead,
            "premake": self.premake,
            "current": self.current,
            "horizon": self.horizon,
            "covered_until": self.covered_until.isoformat(),
            "catch_all": self.catch_all,
            "partitions": len(self.partitions),
            "first": bounded[0].name if bounded else None,
            "last": bounded[-1].name if bounded else None,
            "size_bytes": self.size_bytes,
            "rows": self.n_rows,
        }


def inventory(policy: Policy, snapshot: Snapshot, now: datetime) -> tuple[TableInventory, ...]:
    """Return the inventory of every partitioned table of a policy that passes validation."""
    return tuple(_take_stock(policy, snapshot, now))


def _take_stock(policy: Policy, snapshot: Snapshot, now: datetime) -> Iterator[TableInventory]:
    states = assess(policy, snapshot, now, EVERYTHING).states
    for section in policy.partitions:
        state = states[section.table]
        if isinstance(state, Finding):
            continue
        default = state.table.default
        gap, catch_all = state.first_uncovered, state.catch_all
        fates = _fates(state, snapshot)
        yield TableInventory(
            table=str(section.table),
            interval=section.interval.value,
            ahead=state.ahead,
            premake=section.premake,
            current=state.current.key,
            horizon=state.horizon.key,
            covered_until=state.codec.first_moment(gap[0] if gap else state.end),
            catch_all=str(catch_all.partition.relation) if catch_all is not None else None,
            partitions=(
                *(
                    _facts(state, span, fates.get(span.partition.oid))
                    for span in state.coverage.spans
                ),
                *((_unbounded(default),) if default is not None else ()),
            ),
        )


def _fates(state: PartitionState, snapshot: Snapshot) -> dict[int, str]:
    """Return `expired` or `held` by OID, for the partitions to which it applies."""
    policy, retention = state.policy, state.policy.retention
    if retention is None or retention.action == "keep":
        return {}
    items = expired_of(state.coverage.spans, policy, retention, snapshot, state.now)
    return {item.span.partition.oid: "held" if item.held else "expired" for item in items}


def _facts(state: PartitionState, span: Span, fate: str | None) -> PartitionFacts:
    return PartitionFacts(
        name=str(span.partition.relation),
        period=_period_key(state, span),
        lower=None if span.lower == PAST else state.codec.first_moment(span.lower),
        upper=None if span.upper == FUTURE else state.codec.first_moment(span.upper),
        size_bytes=max(span.partition.pages, 0) * PAGE_BYTES,
        n_rows=_rows(span.partition),
        retention=fate,
    )


def _unbounded(default: Partition) -> PartitionFacts:
    return PartitionFacts(
        str(default.relation), None, None, None, max(default.pages, 0) * PAGE_BYTES, _rows(default)
    )


def _period_key(state: PartitionState, span: Span) -> str | None:
    if PAST in span or FUTURE in span:
        return None
    calendar = state.codec.calendar
    period = period_at(span.lower, state.policy.interval, calendar)
    return period.key if period.bounds(calendar) == (span.lower, span.upper) else None


def _rows(partition: Partition) -> int | None:
    return round(partition.rows) if partition.rows >= 0 else None
