"""Findings about partitions with bounds other than the policy's periods: open, wide or shifted."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import counted_noun, listed
from maintenance.names import MAX_NAME_BYTES, QualifiedName, cut, quote
from maintenance.partition_key import FUTURE, PAST
from maintenance.partition_set.bounds import Span, bound_literals
from maintenance.partition_set.expected import PeriodRange
from maintenance.partition_set.expiry import cutoff, expires_at
from maintenance.periods import period_at
from maintenance.subjects.partitions.state import PartitionState
from maintenance.subjects.partitions.time_zones import zone_drift
from maintenance.subjects.partitions.wide_partitions import is_empty

SHOWN = 5
"""How many objects a message names; further ones are only counted."""

_HEADROOM = timedelta(days=2)
"""How far the suggested bound of an open-ended partition lies in the future, to leave time."""


class _Part(NamedTuple):
    """One sentence about odd bounds, and the statements that help."""

    severity: Severity
    text: str
    partitions: tuple[str, ...]
    statements: tuple[str, ...] = ()
    reason: str = "other_bounds"
    data: Mapping[str, Any] = {}


def odd_bounds(state: PartitionState) -> Iterator[Finding]:
    """Yield findings about partitions with bounds other than the policy's periods."""
    open_ended = [*_catch_all(state), *_open_at_the_beginning(state)]
    catch_all = {part.partitions[0] for part in open_ended}
    spans = sorted({span for _, spans in state.overlapped for span in spans})
    spans = [span for span in spans if str(span.partition.relation) not in catch_all]
    drift = zone_drift(
        state.policy.interval,
        state.codec.calendar,
        [span for span in spans if not _is_fragment(state, span)],
    )
    if drift is not None:
        yield _drift(state, spans, drift)
    parts = [*open_ended, *(_others(state, spans) if drift is None else ())]
    if parts:
        yield _finding(state, FindingKind.PARTITION_OVERLAP, parts)


def _catch_all(state: PartitionState) -> Iterator[_Part]:
    """Report the partition that holds all rows from some moment on, and how to bound it."""
    span = state.catch_all
    if span is None:
        return
    relation, interval = span.partition.relation, state.policy.interval.value
    lower, upper = bound_literals(span.partition.bound or "")
    since = "all rows" if span.lower == PAST else f"rows from {lower} on"
    until = "" if span.upper == FUTURE else f" up to {upper}"
    text = (
        f"{since}{until} go to one partition, {relation}: no partition of {interval} can be"
        f" created there{_unreachable(state)}"
    )
    statements = tuple(_bounding(state, span))
    text += (
        ". Give it an upper bound; the next run creates partitions from there on. Run"
        f" {'; '.join(statements)}"
    )
    yield _Part(
        Severity.WARN,
        text,
        (str(relation),),
        statements,
        "catch_all",
        {"stops_retention": bool(_unreachable(state))},
    )


def _unreachable(state: PartitionState) -> str:
    retention = state.policy.retention
    if retention is None or retention.action == "keep":
        return ""
    return f", and retention can't remove its rows (keep is {retention.kept_for})"


def _bounding(state: PartitionState, span: Span) -> Iterator[str]:
    """Yield the statements that re-attach a partition with an upper bound, without a scan.

    The CHECK refuses rows above the new bound until the partition is attached with it, so the
    bound lies in the future. If rows above it exist already, the second statement fails.
    """
    table, codec = state.name, state.codec
    ahead = max(state.position + _HEADROOM, span.lower)
    period = period_at(ahead, state.policy.interval, codec.calendar)
    end = codec.literal(period.bounds(codec.calendar)[1])
    lower, _ = bound_literals(span.partition.bound or "")
    relation, key = span.partition.relation, quote(state.policy.column)
    check = quote(cut(relation.name, MAX_NAME_BYTES - len("_bounded")) + "_bounded")
    begins = f" AND {key} >= {lower}" if span.lower > PAST else ""
    yield (
        f"ALTER TABLE {relation} ADD CONSTRAINT {check}"
        f" CHECK ({key} IS NOT NULL{begins} AND {key} < {end}) NOT VALID"
    )
    yield f"ALTER TABLE {relation} VALIDATE CONSTRAINT {check}"
    yield "BEGIN"
    yield "SET LOCAL lock_timeout = '1s'"
    yield f"ALTER TABLE {table} DETACH PARTITION {relation}"
    yield f"ALTER TABLE {table} ATTACH PARTITION {relation} FOR VALUES FROM ({lower}) TO ({end})"
    yield "COMMIT"
    yield f"ALTER TABLE {relation} DROP CONSTRAINT {check}"


def _open_at_the_beginning(state: PartitionState) -> Iterator[_Part]:
    """Report a partition from MINVALUE that retention can't retire yet, and from when it can."""
    span = next((s for s in state.coverage.spans if s.lower == PAST), None)
    if span is None or span == state.catch_all or is_empty(span) or state.policy.split == "online":
        return
    goes = _goes_at(state, span)
    if goes is None:
        return
    relation = span.partition.relation
    _, upper = bound_literals(span.partition.bound or "")
    text = (
        f"all rows before {upper} go to one partition, {relation}, which has no lower bound:"
        f" retention removes none of them before {goes:%Y-%m-%d}, and then all at once"
    )
    look = f"SELECT min({quote(state.policy.column)}) FROM {relation}"
    text += f". To bound it, find its first key ({look}), detach it and attach it from there"
    data = {"retired_at": goes.isoformat()}
    yield _Part(Severity.WARN, text, (str(relation),), (look,), "no_lower_bound", data)


def _goes_at(state: PartitionState, span: Span) -> datetime | None:
    """Return when retention can retire a partition; None if it can now, or retires none."""
    retention = state.policy.retention
    if retention is None or retention.action == "keep":
        return None
    upper = state.codec.last_moment(span.upper)
    if upper <= cutoff(retention, state.policy, state.now):
        return None
    return expires_at(retention, state.policy, upper)


def _others(state: PartitionState, spans: Sequence[Span]) -> Iterator[_Part]:
    if not spans:
        return
    holders = _names(spans)
    text = (
        f"{listed(holders, SHOWN)} {'holds' if len(holders) == 1 else 'hold'}"
        f" {counted_noun(len(state.overlapped), 'period')} with bounds other than"
        f" {state.policy.interval.value}"
    )
    severity, statements = Severity.INFO, _attaching(state)
    if statements:
        still_to_come = any(slot.upper > state.position for slot in state.unbridged)
        severity = Severity.ERROR if still_to_come else Severity.WARN
        text += f"; {_unbridged_text(state, statements)}"
    yield _Part(severity, text, holders, statements)


def _unbridged_text(state: PartitionState, statements: Sequence[str]) -> str:
    keys = list(dict.fromkeys(slot.period.key for slot in state.unbridged))
    return (
        f"parts of {listed(keys, SHOWN)} have no partition, and the policy forbids to bridge them."
        f" Run {'; '.join(statements)}"
    )


def _attaching(state: PartitionState) -> tuple[str, ...]:
    return tuple(
        statement for slot in state.unbridged[:SHOWN] for statement in attach_by_hand(state, slot)
    )


def attach_by_hand(state: PartitionState, slot: PeriodRange) -> tuple[str, str]:
    """Return the statements that create a slot's partition; the next run sets its privileges."""
    child, (lower, upper) = state.child(slot), slot.literals(state.codec)
    return (
        f"CREATE TABLE {child} (LIKE {state.name} INCLUDING ALL EXCLUDING IDENTITY)",
        f"ALTER TABLE {state.name} ATTACH PARTITION {child} FOR VALUES FROM ({lower}) TO ({upper})",
    )


def _is_fragment(state: PartitionState, span: Span) -> bool:
    """Whether a partition holds a part of one period, as bridges do."""
    for slot, spans in state.overlapped:
        if span in spans:
            return slot.lower <= span.lower and span.upper <= slot.upper
    return False


def _drift(state: PartitionState, spans: Sequence[Span], drift: timedelta) -> Finding:
    hours = drift.total_seconds() / 3600
    (part,) = _others(state, [span for span in spans if not _is_fragment(state, span)])
    zone = state.policy.time_zone.key
    text = (
        f"{part.text}; all begin {hours:+g} hours off midnight in {zone}, as if created in a"
        " session with another TimeZone. Check time_zone of this table in the policy"
    )
    part = part._replace(text=text, data={"hours": hours})
    return _finding(state, FindingKind.PARTITION_TIME_ZONE_DRIFT, [part])


def _finding(state: PartitionState, kind: FindingKind, parts: Sequence[_Part]) -> Finding:
    uncovered = list(dict.fromkeys(slot.period.key for slot in state.unbridged))
    data: dict[str, Any] = {
        "partitions": [name for part in parts for name in part.partitions],
        "reasons": [part.reason for part in parts],
        "uncovered": uncovered,
        "statements": [statement for part in parts for statement in part.statements],
    }
    for part in parts:
        data |= part.data
    return Finding(
        kind,
        max((part.severity for part in parts), key=list(Severity).index),
        state.name,
        f"{state.name}: {'; '.join(part.text for part in parts)}",
        value=len(uncovered) or sum(part.severity is not Severity.INFO for part in parts),
        threshold=0,
        data=data,
    )


def _names(spans: Sequence[Span]) -> tuple[str, ...]:
    names: list[QualifiedName] = [span.partition.relation for span in spans]
    return tuple(map(str, names))
