"""Findings on incomplete observation of a server, and the findings that are unknown therefore."""

from collections.abc import Iterator

from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity, failed_readings
from maintenance.subjects.workload.models import WorkloadSnapshot
from maintenance.subjects.workload.running_findings import running_object

COUNT = "ALTER SYSTEM SET track_counts = on"
"""The statement that turns counting on."""


def no_monitor_finding(database: str, role: str) -> Finding:
    """Report that the role may not see what other roles' sessions do, and what that leaves open."""
    grant = f"GRANT pg_monitor TO {role}"
    return Finding(
        FindingKind.PRIVILEGE_MISSING,
        Severity.WARN,
        database,
        f"{database}: role {role} can't read the activity of other sessions, so findings are"
        f" incomplete: run {grant}",
        data={"grants": [grant], UNKNOWN: _hidden(database)},
    )


def _hidden(database: str) -> dict[str, list[str]]:
    """Return the objects whose state depends on the activity of other roles' sessions, by kind."""
    return {
        FindingKind.CONNECTION_WITHOUT_TLS.value: [database],
        FindingKind.IDLE_IN_TRANSACTION.value: [database],
        FindingKind.LONG_TRANSACTION.value: [database],
        FindingKind.QUERY_SLOW.value: [running_object(database)],
        FindingKind.REPLICATION_LAG.value: [f"{database}/standby"],
    }


def blind_spot_findings(database: str, load: WorkloadSnapshot) -> Iterator[Finding]:
    """Yield one finding for each failed observation, with the statement to run."""
    yield from failed_readings(database, "workload", load.blind)
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
