"""Findings on incomplete observation of a server, and the findings that are unknown therefore."""

from collections.abc import Iterator

from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity, unknown_without
from maintenance.subjects.workload.models import WorkloadSnapshot

COUNT = "ALTER SYSTEM SET track_counts = on"
"""The statement that turns counting on."""


def blind_spot_findings(database: str, load: WorkloadSnapshot) -> Iterator[Finding]:
    """Yield one finding for each failed observation, with the statement to run."""
    for what, reason in load.blind.items():
        yield Finding(
            FindingKind.MONITOR_BLIND,
            Severity.ERROR,
            f"{database}/workload/{what}",
            f"{database}: {what} not checked: {reason}",
            data={UNKNOWN: unknown_without(what, None)},
        )
    if not load.server.track_counts:
        yield Finding(
            FindingKind.MONITOR_BLIND,
            Severity.WARN,
            f"{database}/workload/counters",
            f"{database}: track_counts is off, so changes are not counted and autovacuum does not"
            f" run; run {COUNT}",
            data={"statements": [COUNT]},
        )
    if load.statements.remedy:
        yield Finding(
            FindingKind.EXTENSION_MISSING,
            Severity.WARN if load.statements.is_available else Severity.INFO,
            f"{database}/pg_stat_statements",
            f"{database}: slow-query checks are disabled: pg_stat_statements is not available;"
            f" required: {load.statements.remedy}",
            data={"statements": [load.statements.remedy]},
        )
