"""What the owner should know about one table's partitions."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from maintenance.catalog.history import History
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.names import QualifiedName
from maintenance.partitioning.window import Slot
from maintenance.partitions.outlook import Outlook
from maintenance.partitions.rates import insert_rate, lasting
from maintenance.partitions.zones import zone_drift

SHOWN = 5
"""How many objects a message names before it only counts the others."""


class TakenName(NamedTuple):
    """The name of a partition to be made that something else bears.

    `period` is its key, or `default`.
    """

    child: QualifiedName
    period: str


def findings_of(
    outlook: Outlook, names_taken: Iterable[TakenName], history: History
) -> Iterator[Finding]:
    """Yield what stands, at most one finding of a kind."""
    if outlook.first_uncovered is not None:
        yield _horizon_short(outlook, outlook.first_uncovered)
    occupied = outlook.occupied
    missing = [slot for slot in outlook.missing if slot.period < outlook.current]
    gaps = [slot for slot in missing if slot not in occupied]
    if gaps:
        yield _gap(outlook, gaps)
    if outlook.overlapped:
        yield _overlap(outlook)
    taken = list(names_taken)
    if taken:
        yield _name_taken(outlook, taken)
    pending = [str(p.relation) for p in outlook.table.partitions if p.detach_pending]
    if pending:
        yield _detach_pending(outlook, pending, history)


def _horizon_short(outlook: Outlook, first: Slot) -> Finding:
    has_default = outlook.table.default is not None
    impact = "fall into the default partition" if has_default else "fail"
    overdue = first.lower <= outlook.now
    left = first.lower - outlook.now
    when = "now" if overdue else f"from {first.lower:%Y-%m-%d %H:%M} UTC, in {lasting(left)}"
    rate = insert_rate(outlook)
    how_many = f", at the present rate about {rate:,} rows a day" if rate else ""
    return _finding(
        outlook,
        FindingKind.PARTITION_HORIZON_SHORT,
        Severity.ERROR if overdue and not has_default else Severity.WARN,
        f"{outlook.ahead} of {outlook.policy.premake} partitions ahead exist;"
        f" inserts {impact} {when}{how_many}",
        value=outlook.ahead,
        threshold=outlook.policy.premake,
        data={
            "impact": impact,
            "impact_at": max(first.lower, outlook.now).isoformat(),
            "first_missing": first.period.key,
            "rows_per_day": rate,
        },
    )


def _gap(outlook: Outlook, gaps: Sequence[Slot]) -> Finding:
    keys = _keys(gaps)
    has_default = outlook.table.default is not None
    impact = "fall into the default partition" if has_default else "are refused"
    return _finding(
        outlook,
        FindingKind.PARTITION_GAP,
        Severity.WARN,
        f"no partition holds {_listed(keys)}; rows of that time {impact}",
        value=len(keys),
        threshold=0,
        data={"periods": keys},
    )


def _overlap(outlook: Outlook) -> Finding:
    covers = outlook.coverage.covers
    drift = zone_drift(outlook.policy, {span for _, spans in outlook.overlapped for span in spans})
    partial = [slot for slot, _ in outlook.overlapped if not covers(slot.lower, slot.upper)]
    spans = {span for _, spans in outlook.overlapped for span in spans}
    holders = [str(span.partition.relation) for span in sorted(spans)]
    interval = outlook.policy.interval.value
    text = f"{_listed(holders)} hold {len(outlook.overlapped)} periods with other bounds than"
    text += f" {interval}"
    severity = Severity.INFO
    if partial:
        text += f"; parts of {_listed(_keys(partial))} have no partition and can't get one of"
        text += f" {interval}: change those bounds by hand"
        still_to_come = any(slot.period >= outlook.current for slot in partial)
        severity = Severity.ERROR if still_to_come else Severity.WARN
    kind = FindingKind.PARTITION_OVERLAP
    if drift is not None:
        kind = FindingKind.PARTITION_TIME_ZONE_DRIFT
        hours = drift.total_seconds() / 3600
        text += f"; all begin {hours:+g} hours off midnight in {outlook.policy.time_zone.key}, as"
        text += " if made in a session of another TimeZone: should time_zone name that one?"
    return _finding(
        outlook,
        kind,
        severity,
        text,
        value=len(partial),
        threshold=0,
        data={"partitions": holders, "uncovered": _keys(partial)},
    )


def _name_taken(outlook: Outlook, taken: Sequence[TakenName]) -> Finding:
    children = [str(name.child) for name in taken]
    return _finding(
        outlook,
        FindingKind.PARTITION_NAME_TAKEN,
        Severity.ERROR,
        f"{_listed(children)} exists and is no partition of it for that period;"
        " rename it, attach it, or change the policy's name template",
        value=len(children),
        threshold=0,
        data={"names": children, "periods": [name.period for name in taken]},
    )


def _detach_pending(outlook: Outlook, children: list[str], history: History) -> Finding:
    origin = history.origin(children[0])
    return _finding(
        outlook,
        FindingKind.DETACH_PENDING,
        Severity.ERROR,
        f"{_listed(children)} is half detached: its rows are invisible and inserts of its range"
        f" fail; ALTER TABLE {outlook.name} DETACH PARTITION {children[0]} FINALIZE;"
        f" {origin}",
        value=len(children),
        threshold=0,
        data={"partitions": children, "origin": origin},
    )


def _finding(
    outlook: Outlook, kind: FindingKind, severity: Severity, text: str, **facts: Any
) -> Finding:
    return Finding(kind, severity, outlook.name, f"{outlook.name}: {text}", **facts)


def _keys(slots: Collection[Slot]) -> list[str]:
    return [slot.period.key for slot in slots]


def _listed(items: Sequence[str]) -> str:
    shown = ", ".join(items[:SHOWN])
    return shown if len(items) <= SHOWN else f"{shown} and {len(items) - SHOWN} more"
