"""The finding on statements that are at work for too long."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.policy.thresholds import WorkloadPolicy
from maintenance.subjects.workload.models import OUR_SESSIONS, Running

LEAST_RUNNING = timedelta(seconds=30)
"""A statement is not reported earlier: one that happens to be seen in a sample is no alert."""
SHOWN = 5
LISTED = 20

_UPKEEP = ("COPY", "VACUUM", "ANALYZE", "ANALYSE", "REINDEX", "CLUSTER", "CHECKPOINT")
_BACKUPS = ("pg_dump", "pg_restore", "pg_basebackup", "pgbackrest", "barman", "wal-g")


def running_object(database: str) -> str:
    """Return the object of the finding: one for all statements at work."""
    return f"{database}/running"


def of_applications(running: Sequence[Running]) -> list[Running]:
    """Return the statements that an application waits for: no maintenance, no backup."""
    return [each for each in running if not _is_upkeep(each)]


def running_findings(
    database: str,
    section: WorkloadPolicy,
    running: Sequence[Running],
    least: timedelta = LEAST_RUNNING,
) -> Iterator[Finding]:
    """Yield one finding for all statements that run for too long.

    Those that wait for a lock are left to `sessions_blocked`: they have one cause.
    """
    limit = max(section.slow_query, least).total_seconds()
    slow = [
        each
        for each in of_applications(running)
        if each.statement_s > limit and each.wait != "Lock"
    ]
    if not slow:
        return
    slow.sort(key=lambda each: -each.statement_s)
    who = "; ".join(_who(each) for each in slow[:SHOWN])
    wanted = max(section.slow_query, LEAST_RUNNING).total_seconds()
    yield Finding(
        FindingKind.QUERY_SLOW,
        Severity.WARN,
        running_object(database),
        f"{database}: {len(slow)} statements are running for too long: {who}; wanted at most"
        f" {wanted:.0f} s; check their plans, or cancel them with pg_cancel_backend",
        value=round(slow[0].statement_s * 1000),
        threshold=round(wanted * 1000),
        data={"statements": [each._asdict() for each in slow[:LISTED]]},
    )


def _is_upkeep(statement: Running) -> bool:
    application = (statement.application or "").lower()
    command = statement.command or ""
    return (
        application.startswith((OUR_SESSIONS, *_BACKUPS))
        or command in _UPKEEP
        or command.endswith(" INDEX")
    )


def _who(statement: Running) -> str:
    application = statement.application or "no application name"
    return (
        f"{statement.command or 'statement'} of pid {statement.pid} ({statement.role},"
        f" {application}, {statement.client}) for {statement.statement_s:.0f} s"
    )
