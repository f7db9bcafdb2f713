"""Partitions whose bounds are not the policy's periods: open-ended, too wide, or shifted."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.names import MAX_NAME_BYTES, QualifiedName, cut, quote
from maintenance.partition_key import FUTURE, PAST
from maintenance.partition_set.bounds import Span, bound_literals
from maintenance.partition_set.expected import Slot
from maintenance.partition_set.expiry import cutoff
from maintenance.periods import add_months, period_at
from maintenance.subjects.partitions.state import Outlook
from maintenance.subjects.partitions.time_zones import zone_drift

SHOWN = 5
"""How many objects a message names before it only counts the others."""

_HEADROOM = timedelta(days=2)
"""So long the new bound of an open-ended partition lies ahead, for people to carry it out."""


class _Part(NamedTuple):
    """One sentence about odd bounds, and the statements that help."""

    severity: Severity
    text: str
    partitions: tuple[str, ...]
    statements: tuple[str, ...] = ()
    reason: str = "other_bounds"
    data: Mapping[str, Any] = {}


def odd_bounds(outlook: Outlook) -> Iterator[Finding]:
    """Yield what is to be said of partitions with other bounds than the policy's periods."""
    open_ended = [*_catch_all(outlook), *_open_at_the_beginning(outlook)]
    catch_all = {part.partitions[0] for part in open_ended}
    spans = sorted({span for _, spans in outlook.overlapped for span in spans})
    spans = [span for span in spans if str(span.partition.relation) not in catch_all]
    drift = zone_drift(
        outlook.policy.interval,
        outlook.codec.calendar,
        [span for span in spans if not _is_fragment(outlook, span)],
    )
    if drift is not None:
        yield _drift(outlook, spans, drift)
    parts = [*open_ended, *(_others(outlook, spans) if drift is None else ())]
    if parts:
        yield _finding(outlook, FindingKind.PARTITION_OVERLAP, parts)


def _catch_all(outlook: Outlook) -> Iterator[_Part]:
    """Say of the partition that takes all rows from some moment on why months stop there."""
    span = outlook.catch_all
    if span is None:
        return
    relation, interval = span.partition.relation, outlook.policy.interval.value
    lower, upper = bound_literals(span.partition.bound or "")
    since = "all rows" if span.lower == PAST else f"rows from {lower} on"
    until = "" if span.upper == FUTURE else f" up to {upper}"
    text = (
        f"{since}{until} go to one partition, {relation}: no partition of {interval} can be made"
        f" there{_unreachable(outlook)}"
    )
    statements = tuple(_bounding(outlook, span))
    text += f"; bound it, and the next run goes on from there: {'; '.join(statements)}"
    yield _Part(
        Severity.WARN,
        text,
        (str(relation),),
        statements,
        "catch_all",
        {"stops_retention": bool(_unreachable(outlook))},
    )


def _unreachable(outlook: Outlook) -> str:
    retention = outlook.policy.retention
    if retention is None or retention.action == "keep":
        return ""
    return f", and retention can't reach what it holds (keep is {retention.keep})"


def _bounding(outlook: Outlook, span: Span) -> Iterator[str]:
    """Yield the statements that attach a partition again with an end, without a scan under a lock.

    The CHECK refuses rows behind the new end until the partition is attached with it, so that
    end lies ahead of now. If rows lie behind it already, the second statement fails.
    """
    table, codec = outlook.name, outlook.codec
    ahead = max(outlook.position + _HEADROOM, span.lower)
    period = period_at(ahead, outlook.policy.interval, codec.calendar)
    end = codec.literal(period.bounds(codec.calendar)[1])
    lower, _ = bound_literals(span.partition.bound or "")
    relation, key = span.partition.relation, quote(outlook.policy.column)
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


def _open_at_the_beginning(outlook: Outlook) -> Iterator[_Part]:
    """Say of a partition from MINVALUE that retention can't take yet when it can."""
    span = next((s for s in outlook.coverage.spans if s.lower == PAST), None)
    if span is None or span == outlook.catch_all:
        return
    goes = _goes_at(outlook, span)
    if goes is None:
        return
    relation = span.partition.relation
    _, upper = bound_literals(span.partition.bound or "")
    text = (
        f"rows before {upper} all go to one partition, {relation}, which has no lower bound:"
        f" retention can take none of them before {goes:%Y-%m-%d}, and then all at once"
    )
    look = f"SELECT min({quote(outlook.policy.column)}) FROM {relation}"
    text += f"; to bound it, look where it begins ({look}), detach it and attach it from there"
    data = {"retired_at": goes.isoformat()}
    yield _Part(Severity.WARN, text, (str(relation),), (look,), "no_lower_bound", data)


def _goes_at(outlook: Outlook, span: Span) -> datetime | None:
    """Return when retention can take a partition; None if it may now, or never takes any."""
    retention = outlook.policy.retention
    if retention is None or retention.action == "keep":
        return None
    upper = outlook.codec.last_moment(span.upper)
    if upper <= cutoff(retention, outlook.policy, outlook.now):
        return None
    keep = retention.keep
    try:
        day = add_months(upper.date(), keep.months) + timedelta(days=keep.days)
    except (OverflowError, ValueError):
        return FUTURE
    return datetime.combine(day, upper.timetz())


def _others(outlook: Outlook, spans: Sequence[Span]) -> Iterator[_Part]:
    if not spans:
        return
    holders = _names(spans)
    text = (
        f"{_listed(holders)} hold {len(outlook.overlapped)} periods with other bounds than"
        f" {outlook.policy.interval.value}"
    )
    severity, statements = Severity.INFO, _attaching(outlook)
    if statements:
        still_to_come = any(slot.upper > outlook.position for slot in outlook.unbridged)
        severity = Severity.ERROR if still_to_come else Severity.WARN
        text += f"; {_unbridged_text(outlook, statements)}"
    yield _Part(severity, text, holders, statements)


def _unbridged_text(outlook: Outlook, statements: Sequence[str]) -> str:
    keys = list(dict.fromkeys(slot.period.key for slot in outlook.unbridged))
    return (
        f"parts of {_listed(keys)} have no partition, and the policy forbids to bridge them:"
        f" {'; '.join(statements)}"
    )


def _attaching(outlook: Outlook) -> tuple[str, ...]:
    return tuple(
        statement
        for slot in outlook.unbridged[:SHOWN]
        for statement in attach_by_hand(outlook, slot)
    )


def attach_by_hand(outlook: Outlook, slot: Slot) -> tuple[str, str]:
    """Return the statements that give a slot a partition; the next run repairs its rights."""
    child, (lower, upper) = outlook.child(slot), slot.literals(outlook.codec)
    return (
        f"CREATE TABLE {child} (LIKE {outlook.name} INCLUDING ALL EXCLUDING IDENTITY)",
        f"ALTER TABLE {outlook.name} ATTACH PARTITION {child}"
        f" FOR VALUES FROM ({lower}) TO ({upper})",
    )


def _is_fragment(outlook: Outlook, span: Span) -> bool:
    """Whether a partition holds a part of one period, as bridges do."""
    for slot, spans in outlook.overlapped:
        if span in spans:
            return slot.lower <= span.lower and span.upper <= slot.upper
    return False


def _drift(outlook: Outlook, spans: Sequence[Span], drift: timedelta) -> Finding:
    hours = drift.total_seconds() / 3600
    (part,) = _others(outlook, [span for span in spans if not _is_fragment(outlook, span)])
    zone = outlook.policy.time_zone.key
    text = (
        f"{part.text}; all begin {hours:+g} hours off midnight in {zone}, as if made in a session"
        " of another TimeZone: should time_zone name that one?"
    )
    part = part._replace(text=text, data={"hours": hours})
    return _finding(outlook, FindingKind.PARTITION_TIME_ZONE_DRIFT, [part])


def _finding(outlook: Outlook, kind: FindingKind, parts: Sequence[_Part]) -> Finding:
    uncovered = list(dict.fromkeys(slot.period.key for slot in outlook.unbridged))
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
        outlook.name,
        f"{outlook.name}: {'; '.join(part.text for part in parts)}",
        value=len(uncovered) or sum(part.severity is not Severity.INFO for part in parts),
        threshold=0,
        data=data,
    )


def _names(spans: Sequence[Span]) -> tuple[str, ...]:
    names: list[QualifiedName] = [span.partition.relation for span in spans]
    return tuple(map(str, names))


def _listed(items: Sequence[str]) -> str:
    shown = ", ".join(items[:SHOWN])
    return shown if len(items) <= SHOWN else f"{shown} and {len(items) - SHOWN} more"
