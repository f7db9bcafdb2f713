"""What could not be seen of a server at work, and what nobody can tell because of that."""

from collections.abc import Iterator

from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity, unknown_without
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
            # The growth of any table is unknown without sizes, all else is of the database.
            data={UNKNOWN: unknown_without(what, None if what == "sizes" else [database])},
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
