"""What the owner should know about one table's partitions."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.partitioning.window import Slot
from maintenance.partitions.outlook import Outlook

SHOWN = 5
"""How many objects a message names before it only counts the others."""


def findings_of(outlook: Outlook, name_taken: Collection[Slot]) -> Iterator[Finding]:
    """Yield what stands, at most one finding of a kind.

    Args:
        outlook: the table held against its policy.
        name_taken: missing slots whose partition's name something else bears.
    """
    if outlook.first_uncovered is not None:
        yield _horizon_short(outlook, outlook.first_uncovered)
    gaps = [slot for slot in outlook.missing if slot.period < outlook.current]
    if gaps:
        yield _gap(outlook, gaps)
    if outlook.overlapped:
        yield _overlap(outlook)
    if name_taken:
        yield _name_taken(outlook, name_taken)
    if outlook.table.default_has_rows:
        yield _default_rows(outlook)
    pending = [str(p.relation) for p in outlook.table.partitions if p.detach_pending]
    if pending:
        yield _detach_pending(outlook, pending)


def _horizon_short(outlook: Outlook, first: Slot) -> Finding:
    has_default = outlook.table.default is not None
    impact = "fall into the default partition" if has_default else "fail"
    overdue = first.lower <= outlook.now
    when = "now" if overdue else f"from {first.lower:%Y-%m-%d %H:%M} UTC"
    return _finding(
        outlook,
        FindingKind.PARTITION_HORIZON_SHORT,
        Severity.ERROR if overdue and not has_default else Severity.WARN,
        f"{outlook.ahead} of {outlook.policy.premake} partitions ahead exist;"
        f" inserts {impact} {when}",
        value=outlook.ahead,
        threshold=outlook.policy.premake,
        data={
            "impact": impact,
            "impact_at": max(first.lower, outlook.now).isoformat(),
            "first_missing": first.period.key,
        },
    )


def _gap(outlook: Outlook, gaps: Sequence[Slot]) -> Finding:
    keys = _keys(gaps)
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
    covers = outlook.coverage.covers
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
    return _finding(
        outlook,
        FindingKind.PARTITION_OVERLAP,
        severity,
        text,
        value=len(partial),
        threshold=0,
        data={"partitions": holders, "uncovered": _keys(partial)},
    )


def _name_taken(outlook: Outlook, slots: Collection[Slot]) -> Finding:
    children = [str(outlook.child(slot)) for slot in slots]
    return _finding(
        outlook,
        FindingKind.PARTITION_NAME_TAKEN,
        Severity.ERROR,
        f"{_listed(children)} exists and is no partition of it for that period;"
        " rename it, attach it, or change the policy's name template",
        value=len(children),
        threshold=0,
        data={"names": children, "periods": _keys(slots)},
    )


def _default_rows(outlook: Outlook) -> Finding:
    assert outlook.table.default is not None, "it has rows"
    default = str(outlook.table.default.relation)
    return _finding(
        outlook,
        FindingKind.DEFAULT_PARTITION_ROWS,
        Severity.WARN,
        f"its default partition {default} holds rows; no partition can be created for the"
        " periods they belong to until they are moved",
        data={"default": default},
    )


def _detach_pending(outlook: Outlook, children: list[str]) -> Finding:
    return _finding(
        outlook,
        FindingKind.DETACH_PENDING,
        Severity.ERROR,
        f"{_listed(children)} is half detached: its rows are invisible and inserts of its range"
        f" fail; ALTER TABLE {outlook.name} DETACH PARTITION {children[0]} FINALIZE",
        value=len(children),
        threshold=0,
        data={"partitions": children},
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
