"""Findings on limits that could not be observed, and what is unknown therefore: pure."""

from collections.abc import Iterator

from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity, unknown_without
from maintenance.formatting import counted
from maintenance.subjects.capacity.models import CapacityObservation, column_name

SHOWN = 5


def blind_spot_findings(database: str, seen: CapacityObservation) -> Iterator[Finding]:
    """Yield one finding for each failed observation, and one for sequences that are hidden."""
    for what, reason in seen.blind.items():
        yield Finding(
            FindingKind.MONITOR_BLIND,
            Severity.ERROR,
            f"{database}/capacity/{what}",
            f"{database}: {what} not checked: {reason}",
            data={UNKNOWN: unknown_without(what, None)},
        )
    hidden = [each for each in seen.sequences if not each.is_readable]
    if hidden:
        names = [str(each.relation) for each in hidden]
        oids = {each.oid for each in hidden}
        columns = [column_name(c.table, c.column) for c in seen.columns if c.sequence in oids]
        grants = [f"GRANT pg_read_all_data TO {seen.role}"]
        yield Finding(
            FindingKind.PRIVILEGE_MISSING,
            Severity.WARN,
            f"{database}/sequences",
            f"{database}: role {seen.role} can't read {counted(names, 'sequence', SHOWN)}, so"
            f" whether they are near their end is unknown: run {grants[0]}",
            data={
                "grants": grants,
                "sequences": names,
                UNKNOWN: {FindingKind.CAPACITY_CLIFF.value: [*names, *columns]},
            },
        )
