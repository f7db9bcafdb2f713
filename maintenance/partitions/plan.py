"""Planning partitions: premake by the clock, gaps filled, nothing below what retention keeps."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from maintenance.catalog.models import Snapshot, Table
from maintenance.ddl.children import create_and_attach
from maintenance.engine.actions import Action, ActionKind, Step
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.plans import Plan, join
from maintenance.engine.subject import Request
from maintenance.keys import PAST, KeyCodec
from maintenance.names import QualifiedName
from maintenance.partitions.coverage import Coverage, Span, coverage_of
from maintenance.partitions.fitness import codec_of, unfit
from maintenance.periods import Period, parse_period, period_at, period_of, periods_between
from maintenance.policy import PartitionPolicy, Policy

SHOWN = 5
"""How many objects a message names before it only counts."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A period that should have a partition, with its bounds in UTC."""

    period: Period
    lower: datetime
    upper: datetime


@dataclass(frozen=True, slots=True)
class Outlook:
    """One table's partitions held against the periods it should have.

    Attributes:
        current: the period that holds now.
        horizon: the last period that should exist.
        missing: wanted periods of which no partition holds any part.
        overlapped: wanted periods that partitions of other bounds hold, wholly or in part.
        ahead: how many periods beyond the current one are covered without a break.
    """

    policy: PartitionPolicy
    table: Table
    codec: KeyCodec
    coverage: Coverage
    current: Period
    horizon: Period
    missing: tuple[Slot, ...]
    overlapped: tuple[tuple[Slot, list[Span]], ...]

    @property
    def ahead(self) -> int:
        """Whole periods beyond the current one that are covered without a break."""
        first = self.first_uncovered
        if first is None:
            return self.policy.premake
        return sum(1 for _ in periods_between(self.current.shift(1), first.period.shift(-1)))

    @property
    def first_uncovered(self) -> Slot | None:
        """The first slot from the current one on that lacks a partition for any part of it."""
        future = slots(self.current, self.horizon, self.policy.time_zone)
        return next((s for s in future if not self.coverage.covers(s.lower, s.upper)), None)


def names_wanted(
    policy: Policy, snapshot: Snapshot, now: datetime, request: Request
) -> frozenset[QualifiedName]:
    """Return the names of the partitions that are about to be created."""
    return frozenset(
        _child(outlook, slot)
        for outlook in _outlooks(policy, snapshot, now, request)
        if not isinstance(outlook, Finding)
        for slot in outlook.missing
    )


def plan(policy: Policy, snapshot: Snapshot, now: datetime, request: Request) -> Plan:
    """Plan the partitions of every table of the policy.

    A table that can't be served is a finding of its own and never holds up the others.
    """
    return join(
        Plan(findings=(outlook,))
        if isinstance(outlook, Finding)
        else _plan_table(outlook, snapshot, now, request)
        for outlook in _outlooks(policy, snapshot, now, request)
    )


def look(
    policy: PartitionPolicy, table: Table, now: datetime, asked: Sequence[str] = ()
) -> Outlook:
    """Hold a fit table's partitions against the periods it should have.

    Args:
        policy: its policy.
        table: as observed; see `fitness.unfit` for what must hold of it.
        now: the moment from which the horizon counts, aware.
        asked: keys of the periods wanted instead of the policy's window.

    Raises:
        ValueError: a bound that is not of this key.
    """
    column = table.column(policy.column)
    assert column is not None, "fitness was checked"
    codec = codec_of(policy, column)
    coverage = coverage_of(table.partitions, codec)
    current = period_at(now, policy.interval, policy.time_zone)
    horizon = current.shift(policy.premake)
    if asked:
        wanted = [_slot(period, policy.time_zone) for period in _asked(policy, now, asked)]
    else:
        wanted = slots(first_period(policy, coverage, now), horizon, policy.time_zone)
    exact = coverage.exact
    inexact = [slot for slot in wanted if (slot.lower, slot.upper) not in exact]
    held = [(slot, coverage.overlapping(slot.lower, slot.upper)) for slot in inexact]
    return Outlook(
        policy=policy,
        table=table,
        codec=codec,
        coverage=coverage,
        current=current,
        horizon=horizon,
        missing=tuple(slot for slot, spans in held if not spans),
        overlapped=tuple((slot, spans) for slot, spans in held if spans),
    )


def first_period(policy: PartitionPolicy, coverage: Coverage, now: datetime) -> Period:
    """Return the first period that must exist: `start`, else the oldest, but none expired."""
    current = period_at(now, policy.interval, policy.time_zone)
    first = policy.start or min(current, _oldest(policy, coverage) or current)
    floor = kept_since(policy, now)
    return max(first, floor) if floor is not None else first


def kept_since(policy: PartitionPolicy, now: datetime) -> Period | None:
    """Return the first period that retention still keeps; None when it keeps everything."""
    retention = policy.retention
    if retention is None or retention.action == "keep":
        return None
    today = now.astimezone(policy.time_zone).date()
    return period_of(retention.keep.before(today), policy.interval)


@lru_cache(maxsize=1024)
def slots(first: Period, last: Period, zone: ZoneInfo) -> tuple[Slot, ...]:
    """Return the slots from first to last, both included."""
    return tuple(_slot(period, zone) for period in periods_between(first, last))


def refusal(policy: PartitionPolicy, key: str, now: datetime) -> str | None:
    """Tell why a period that somebody asked for must not be created, if so."""
    try:
        period = parse_period(key, policy.interval)
    except ValueError as exc:
        return str(exc)
    floor = kept_since(policy, now)
    if floor is not None and period < floor:
        return f"{key} has expired: retention keeps {floor} and later"
    horizon = period_at(now, policy.interval, policy.time_zone).shift(policy.premake)
    if period > horizon:
        return f"{key} lies beyond the horizon {horizon}, {policy.premake} ahead of now"
    return None


def _slot(period: Period, zone: ZoneInfo) -> Slot:
    return Slot(period, *period.bounds(zone))


def _asked(policy: PartitionPolicy, now: datetime, keys: Sequence[str]) -> list[Period]:
    allowed = [key for key in keys if refusal(policy, key, now) is None]
    return sorted({parse_period(key, policy.interval) for key in allowed})


def _oldest(policy: PartitionPolicy, coverage: Coverage) -> Period | None:
    for span in coverage.spans:
        if span.lower > PAST:
            return period_at(span.lower, policy.interval, policy.time_zone)
    return None


def _outlooks(
    policy: Policy, snapshot: Snapshot, now: datetime, request: Request
) -> Iterator[Outlook | Finding]:
    for section in policy.partitions or ():
        if request.concerns(section.table):
            yield unfit(section, snapshot) or _look_or_say(section, snapshot, now, request)


def _look_or_say(
    section: PartitionPolicy, snapshot: Snapshot, now: datetime, request: Request
) -> Outlook | Finding:
    try:
        return look(section, snapshot.tables[section.table], now, request.periods)
    except ValueError as exc:
        name = str(section.table)
        return Finding(FindingKind.PARTITION_KEY_MISMATCH, Severity.ERROR, name, f"{name}: {exc}")


def _plan_table(outlook: Outlook, snapshot: Snapshot, now: datetime, request: Request) -> Plan:
    taken = {slot: snapshot.taken.get(_child(outlook, slot)) for slot in outlook.missing}
    free = [slot for slot, kind in taken.items() if kind is None]
    occupied = [slot for slot, kind in taken.items() if kind is not None]
    return Plan(
        actions=(
            *_refused(outlook, now, request.periods),
            *(_create(outlook, slot, snapshot.server.role) for slot in free),
        ),
        findings=tuple(_findings(outlook, occupied, now)),
    )


def _create(outlook: Outlook, slot: Slot, role: str) -> Action:
    literal = outlook.codec.literal
    child = _child(outlook, slot)
    return _action(
        outlook,
        slot.period.key,
        child,
        _reason(outlook, slot),
        steps=(
            create_and_attach(
                outlook.table, child, literal(slot.lower), literal(slot.upper), role=role
            ),
        ),
    )


def _refused(outlook: Outlook, now: datetime, keys: Sequence[str]) -> Iterator[Action]:
    for key in keys:
        reason = refusal(outlook.policy, key, now)
        if reason is not None:
            yield _action(outlook, key, outlook.table.relation, "asked for by hand", refused=reason)


def _action(
    outlook: Outlook,
    key: str,
    child: QualifiedName,
    reason: str,
    *,
    steps: tuple[Step, ...] = (),
    refused: str | None = None,
) -> Action:
    return Action(
        kind=ActionKind.CREATE_PARTITION,
        object=str(child),
        steps=steps,
        reason=reason,
        table=str(outlook.table.relation),
        period=key,
        refused=refused,
    )


def _reason(outlook: Outlook, slot: Slot) -> str:
    if slot.period > outlook.current:
        premake = outlook.policy.premake
        return f"horizon: {outlook.ahead} of {premake} ahead exist, wanted {outlook.horizon}"
    if slot.period == outlook.current:
        return f"now: the current period {slot.period} has no partition"
    return f"gap: no partition holds {slot.period}"


def _child(outlook: Outlook, slot: Slot) -> QualifiedName:
    return QualifiedName(outlook.table.relation.schema, outlook.policy.child_name(slot.period))


def _findings(outlook: Outlook, occupied: Collection[Slot], now: datetime) -> Iterator[Finding]:
    first = outlook.first_uncovered
    if first is not None:
        yield _horizon(outlook, first, now)
    gaps = [slot for slot in outlook.missing if slot.period < outlook.current]
    if gaps:
        yield _gap(outlook, gaps)
    if outlook.overlapped:
        yield _overlap(outlook)
    if occupied:
        yield _name_taken(outlook, occupied)
    if outlook.table.default_has_rows:
        yield _default_rows(outlook)
    pending = [span.partition for span in outlook.coverage.spans if span.partition.detach_pending]
    if pending:
        yield _detach_pending(outlook, [str(p.relation) for p in pending])


def _horizon(outlook: Outlook, first: Slot, now: datetime) -> Finding:
    has_default = outlook.table.default is not None
    impact = "fall into the default partition" if has_default else "fail"
    at = max(first.lower, now)
    when = "now" if first.lower <= now else f"from {first.lower:%Y-%m-%d %H:%M} UTC"
    failing = first.lower <= now and not has_default
    return _finding(
        outlook,
        FindingKind.PARTITION_HORIZON_SHORT,
        Severity.ERROR if failing else Severity.WARN,
        f"{outlook.ahead} of {outlook.policy.premake} partitions ahead exist;"
        f" inserts {impact} {when}",
        value=outlook.ahead,
        threshold=outlook.policy.premake,
        data={"impact": impact, "impact_at": at.isoformat(), "first_missing": first.period.key},
    )


def _gap(outlook: Outlook, gaps: Sequence[Slot]) -> Finding:
    keys = [slot.period.key for slot in gaps]
    return _finding(
        outlook,
        FindingKind.PARTITION_GAP,
        Severity.WARN,
        f"no partition holds {_listed(keys)}; rows of that time are refused",
        value=len(keys),
        threshold=0,
        data={"periods": keys},
    )


def _overlap(outlook: Outlook) -> Finding:
    partial = [
        slot
        for slot, _ in outlook.overlapped
        if not outlook.coverage.covers(slot.lower, slot.upper)
    ]
    holders = sorted({str(s.partition.relation) for _, spans in outlook.overlapped for s in spans})
    keys = [slot.period.key for slot in partial]
    text = (
        f"{_listed(holders)} hold parts of {_listed(keys)}; the rest has no partition and can't"
        f" get one of {outlook.policy.interval.value}: change their bounds by hand"
        if partial
        else f"{_listed(holders)} hold {len(outlook.overlapped)} periods with other bounds than"
        f" {outlook.policy.interval.value}; every moment is covered"
    )
    severity = Severity.INFO
    if partial:
        still_to_come = any(slot.period >= outlook.current for slot in partial)
        severity = Severity.ERROR if still_to_come else Severity.WARN
    return _finding(
        outlook,
        FindingKind.PARTITION_OVERLAP,
        severity,
        text,
        value=len(partial),
        threshold=0,
        data={"partitions": holders, "uncovered": keys},
    )


def _name_taken(outlook: Outlook, occupied: Collection[Slot]) -> Finding:
    children = [str(_child(outlook, slot)) for slot in occupied]
    return _finding(
        outlook,
        FindingKind.PARTITION_NAME_TAKEN,
        Severity.ERROR,
        f"{_listed(children)} exists and is no partition of it for that period;"
        " rename it, attach it, or change the policy's name template",
        value=len(children),
        threshold=0,
        data={"names": children, "periods": [slot.period.key for slot in occupied]},
    )


def _default_rows(outlook: Outlook) -> Finding:
    assert outlook.table.default is not None, "it has rows"
    default = outlook.table.default.relation
    return _finding(
        outlook,
        FindingKind.DEFAULT_PARTITION_ROWS,
        Severity.WARN,
        f"its default partition {default} holds rows; a partition whose rows are among them"
        " can't be created until they are moved",
        data={"default": str(default)},
    )


def _detach_pending(outlook: Outlook, children: list[str]) -> Finding:
    return _finding(
        outlook,
        FindingKind.DETACH_PENDING,
        Severity.ERROR,
        f"{_listed(children)} is half detached: its rows are invisible and inserts of its range"
        f" fail; ALTER TABLE {outlook.table.relation} DETACH PARTITION {children[0]} FINALIZE",
        value=len(children),
        threshold=0,
        data={"partitions": children},
    )


def _finding(
    outlook: Outlook,
    kind: FindingKind,
    severity: Severity,
    text: str,
    *,
    value: float | None = None,
    threshold: float | None = None,
    data: dict[str, object],
) -> Finding:
    name = str(outlook.table.relation)
    return Finding(kind, severity, name, f"{name}: {text}", value, threshold, data)


def _listed(items: Sequence[str]) -> str:
    shown = ", ".join(items[:SHOWN])
    return shown if len(items) <= SHOWN else f"{shown} and {len(items) - SHOWN} more"
