"""Makes proposed sections careful where the first run would do more than create partitions."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from textwrap import shorten

from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.inspection.models import Entry, Setting, Subject

_LONGEST = 300

_EXPECTED = frozenset({ActionKind.CREATE_PARTITION})

_NO_OBSTACLE = frozenset(
    {
        FindingKind.PRIVILEGE_MISSING,
        FindingKind.MONITOR_BLIND,
        FindingKind.PARTITION_HORIZON_SHORT,
        FindingKind.DEFAULT_PARTITION_ROWS,
    }
)
"""Errors that a grant or the first run ends."""


def careful(
    entries: Iterable[Entry], actions: Sequence[Action], findings: Sequence[Finding]
) -> tuple[Entry, ...]:
    """Return the entries with those revised whose plan shows errors or more than new partitions.

    An entry with errors becomes a comment. One whose first run would change what exists only
    reports, until the owner has seen the plan.

    Args:
        entries: the proposed ones.
        actions: that the first run would do.
        findings: of its plan.
    """
    return tuple(_revised(entry, actions, findings) for entry in entries)


def _revised(entry: Entry, actions: Sequence[Action], findings: Sequence[Finding]) -> Entry:
    if entry.subject is not Subject.PARTITIONS or not entry.applies:
        return entry
    name = str(entry.relation)
    error = next(_errors(name, findings), None)
    if error is not None:
        text = f"maintenance plan would say: {shorten(error.message, _LONGEST, placeholder=' …')}"
        return replace(entry, obstacle=text, reason=error.kind.value)
    kinds = Counter(action.kind.value for action in actions if action.table == name)
    further = {kind: n for kind, n in kinds.items() if kind not in _EXPECTED}
    if not further:
        return entry
    counted = ", ".join(f"{n} {kind}" for kind, n in sorted(further.items()))
    evidence = f"the first run would change what exists ({counted}); see it with maintenance plan,"
    mode = Setting("mode", "report", f"{evidence} then remove this line")
    return replace(entry, settings=(*entry.settings, mode))


def _errors(name: str, findings: Sequence[Finding]) -> Iterator[Finding]:
    for finding in findings:
        is_error = finding.severity is Severity.ERROR and finding.kind not in _NO_OBSTACLE
        if is_error and finding.object == name:
            yield finding
