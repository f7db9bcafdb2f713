"""What could not be seen of a server at work, and what nobody can tell because of that."""

from collections.abc import Iterator, Mapping, Sequence

from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity
from maintenance.subjects.workload.models import WorkloadSnapshot

COUNT = "ALTER SYSTEM SET track_counts = on"
"""What lets the server count again."""


def blind_spot_findings(database: str, load: WorkloadSnapshot) -> Iterator[Finding]:
    """Tell what we could not see, once each, with what to run."""
    for what, reason in load.blind.items():
        yield Finding(
            FindingKind.MONITOR_BLIND,
            Severity.ERROR,
            f"{database}/workload/{what}",
            f"{database}: {what} can't be observed: {reason}",
            data={UNKNOWN: _unknown(database, what)},
        )
    if not load.server.track_counts:
        yield Finding(
            FindingKind.MONITOR_BLIND,
            Severity.WARN,
            f"{database}/workload/counters",
            f"{database}: track_counts is off, so nothing is counted and autovacuum does nothing:"
            f" {COUNT}",
            data={"statements": [COUNT]},
        )
    if load.statements.remedy:
        yield Finding(
            FindingKind.EXTENSION_MISSING,
            Severity.WARN if load.statements.is_available else Severity.INFO,
            f"{database}/pg_stat_statements",
            f"{database}: nobody counts statements, so slow ones stay unseen:"
            f" {load.statements.remedy}",
            data={"statements": [load.statements.remedy]},
        )


def _unknown(database: str, what: str) -> Mapping[str, Sequence[str] | None]:
    """Return by kind the objects of which nobody can tell without a look at something."""
    queries = [f"{database}/query"]
    unknown: Mapping[str, Mapping[str, Sequence[str] | None]] = {
        "sessions": {
            FindingKind.IDLE_IN_TRANSACTION.value: [database],
            FindingKind.LONG_TRANSACTION.value: [database],
        },
        "snapshots": {FindingKind.LONG_TRANSACTION.value: [database]},
        "wraparound": {FindingKind.WRAPAROUND_RISK.value: [database]},
        "replication": {FindingKind.REPLICATION_LAG.value: [database]},
        "sizes": {FindingKind.DISK_GROWTH.value: None},
        "the database's size": {FindingKind.DISK_GROWTH.value: [database]},
        "statements": {
            FindingKind.QUERY_SLOW.value: [database],
            FindingKind.QUERY_REGRESSED.value: queries,
            FindingKind.QUERY_N_PLUS_ONE.value: queries,
        },
    }
    return unknown[what]
