"""Plans the split of a partition that holds several periods, and reports such partitions.

The rows are copied and the copies replace the partition at once, see `drain/`. How many partitions
there will be depends on the rows, so the plan shows the first and the last one.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from maintenance.catalog.models import Snapshot
from maintenance.engine.actions import Action, ActionKind, Step
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import PAGE_BYTES, listed, readable_size
from maintenance.partition_key import PAST
from maintenance.partition_set.bounds import Span
from maintenance.partition_set.expiry import cutoff, expires_at, held_by_mark
from maintenance.subjects.partitions.default_drain import capture
from maintenance.subjects.partitions.default_names import exchange_locks
from maintenance.subjects.partitions.helper_checks import HelperCheck, outside
from maintenance.subjects.partitions.leftovers import kept_splits
from maintenance.subjects.partitions.state import PartitionState
from maintenance.subjects.partitions.wide_partitions import (
    cells_of,
    last_slot,
    parts_of,
    wide_spans,
)

SHOWN = 5
"""How many objects a message names; further ones are only counted."""


class _Wide(NamedTuple):
    """A partition of several periods, and why it is not split in this run, if so.

    Attributes:
        reason: a short code; empty if it is split.
        text: the reason, in words.
    """

    span: Span
    reason: str = ""
    text: str = ""


def split_of(state: PartitionState, snapshot: Snapshot) -> Action | None:
    """Return the split of one partition: one that a run has begun, else the oldest.

    Args:
        state: the table compared with its policy.
        snapshot: with the marked tables.
    """
    if state.policy.split == "never":
        return None
    spans = [each.span for each in _wide(state, snapshot) if not each.reason]
    begun = kept_splits(state, snapshot)
    begun_first = sorted(spans, key=lambda span: span.partition.oid not in begun)
    return next((_split(state, s, s.partition.oid in begun) for s in begun_first), None)


def _split(state: PartitionState, span: Span, begun: bool) -> Action:
    partition, table = span.partition, state.table
    check = _check(state, span)
    guarded = () if check is None else (check.add, check.validate)
    size = readable_size(partition.pages * PAGE_BYTES)
    return Action(
        kind=ActionKind.SPLIT_PARTITION,
        object=str(partition.relation),
        table=state.name,
        reason=(
            f"holds several periods, about {max(partition.rows, 0):,.0f} rows, {size}: they are"
            " copied, together with concurrent changes, and one partition for each period with"
            " rows replaces it; how many there are depends on the rows"
            f"{'; continues what an earlier run has copied' if begun else ''}"
        ),
        steps=(*guarded, capture(partition, table.properties.owner), _exchange(state, span)),
        preconditions={
            "oid": partition.oid,
            "bound": partition.bound,
            "schema": state.schema,
            "partition_schema": partition.relation.schema,
            "check": check.name if check is not None else None,
        },
        detail={"estimated_rows": max(partition.rows, 0), "pages": partition.pages},
    )


def _check(state: PartitionState, span: Span) -> HelperCheck | None:
    """Return the CHECK without which ATTACH would scan a default partition under its lock.

    It refuses no row: those of the range are in the partition that is split.
    """
    if state.table.default is None or state.default_is_small:
        return None
    return outside(state.table, state.policy.column, span)


def _exchange(state: PartitionState, span: Span) -> Step:
    policy, codec, table = state.policy, state.codec, state.table
    first = last_slot(policy, codec, span) if span.lower == PAST else None
    cells = cells_of(policy, codec, span, first)
    parts = parts_of(codec, span, cells, range(len(cells)), len(cells) + 1)
    attached = (
        f"ALTER TABLE {table.relation} ATTACH PARTITION {part.name(policy, state.schema)}"
        f" FOR VALUES FROM ({part.lower}) TO ({part.upper})"
        for part in parts
    )
    detach = f"ALTER TABLE {table.relation} DETACH PARTITION {span.partition.relation}"
    return Step(
        statements=(detach, *attached),
        locks=exchange_locks(table, span.partition),
        owner=table.properties.owner,
    )


def spans_finding(state: PartitionState, snapshot: Snapshot) -> Iterator[Finding]:
    """Yield a finding about the partitions of a table that hold several periods, if any.

    One that is not to be split is only told where retention will remove it as a whole.

    Args:
        state: the table compared with its policy.
        snapshot: with the marked tables.
    """
    found = _wide(state, snapshot)
    wide = [w for w in found if w.reason != "split_never" or _expiry(state, w.span)]
    if not wide:
        return
    begun = kept_splits(state, snapshot)
    blocked = [each for each in wide if each.reason in _BLOCKED]
    yield Finding(
        FindingKind.PARTITION_SPANS_PERIODS,
        Severity.WARN if blocked else Severity.INFO,
        state.name,
        f"{state.name}: {listed([_told(state, each, begun) for each in wide], SHOWN, '; ')}",
        value=len(wide),
        threshold=0,
        data={
            "partitions": [str(each.span.partition.relation) for each in wide],
            "reasons": [each.reason or _stage(each, begun) for each in wide],
            "expire_at": [_expiry(state, each.span) for each in wide],
        },
    )


_BLOCKED = frozenset(
    {"referenced", "unbuildable", "foreign", "undetachable", "default_unreadable", "shut_out"}
)
"""Reasons that stay until someone changes something."""


def _stage(wide: _Wide, begun: Collection[int]) -> str:
    return "begun" if wide.span.partition.oid in begun else "due"


def _told(state: PartitionState, wide: _Wide, begun: Collection[int]) -> str:
    relation, expiry = wide.span.partition.relation, _expiry(state, wide.span)
    expires = f"; it expires as a whole on {expiry[:10]}" if expiry else ""
    text = f"{relation} holds several periods of {state.policy.interval.value}{expires}"
    if not wide.reason and wide.span.partition.oid in begun:
        return (
            f"{text}. Its split has begun, and the next run continues it; until then each change"
            " of its rows is logged"
        )
    if not wide.reason:
        return f"{text}. It is split into partitions of one period"
    return f"{text}. {wide.text}"


def _expiry(state: PartitionState, span: Span) -> str | None:
    retention = state.policy.retention
    if retention is None or retention.action == "keep":
        return None
    return expires_at(retention, state.policy, state.codec.last_moment(span.upper)).isoformat()


def _wide(state: PartitionState, snapshot: Snapshot) -> Iterator[_Wide]:
    comments = {table.oid: table.comment for table in snapshot.marked}
    for span in wide_spans(state):
        held = held_by_mark(comments.get(span.partition.oid), state.now)
        if held is not None and state.policy.split == "online":
            yield _Wide(span, "held", f"It is not split, since that would end its hold: {held}")
        elif not _has_expired(state, span):
            yield _Wide(span, *_why_not(state, span))


def _has_expired(state: PartitionState, span: Span) -> bool:
    """Whether retention removes it as a whole now, so that a split would be in vain."""
    retention = state.policy.retention
    if retention is None or retention.action == "keep":
        return False
    return state.codec.last_moment(span.upper) <= cutoff(retention, state.policy, state.now)


def _why_not(state: PartitionState, span: Span) -> tuple[str, str]:
    if state.policy.split == "never":
        return "split_never", "To keep and remove its periods one by one, set split: online"
    for reason, text in _obstacles(state, span):
        return reason, f"It can't be split: {text}"
    if span.upper > state.position:
        end = state.codec.first_moment(span.upper)
        return "not_ended", f"It is split after its last period has ended, on {end:%Y-%m-%d}"
    return "", ""


def _obstacles(state: PartitionState, span: Span) -> Iterator[tuple[str, str]]:
    table, partition = state.table, span.partition
    if table.referenced_by:
        others = listed(table.referenced_by, SHOWN)
        yield (
            "referenced",
            f"foreign keys of {others} reference the table, and PostgreSQL refuses to detach"
            " referenced rows",
        )
    if state.siblings.unbuildable is not None:
        yield (
            "unbuildable",
            f"no other partition can serve as template: {state.siblings.unbuildable}",
        )
    if partition.kind not in ("r", "p"):
        yield "foreign", "it is a foreign table; move its rows by hand"
    if partition.detach_pending:
        yield "undetachable", "its detach was interrupted"
    if (obstacle := partition.whole.obstacle) is not None:
        yield "undetachable", obstacle
    if state.default_may_hide_rows:
        yield "default_unreadable", "the default partition can't be read"
    if state.is_shut_out:
        yield "shut_out", f"no table can be created in schema {state.schema}"
