"""Retention of the store's own history."""

from datetime import date, datetime
from uuid import UUID

from maintenance.names import QualifiedName
from maintenance.periods import CalendarSpan
from maintenance.server.session import Connection, fetch, run_statement

SCHEMA = "maintenance"


def history_tables(connection: Connection) -> list[QualifiedName]:
    """Return the history tables, which are partitioned by RANGE (taken_at)."""
    rows = fetch(connection, "store", "list_history")
    return [QualifiedName(SCHEMA, row.name) for row in rows]


def longest_keep(
    connection: Connection, database: str, keep: CalendarSpan, today: date
) -> CalendarSpan:
    """Record the wanted retention of a database, and return the longest of all databases.

    One store may serve many databases, and each month's partition has rows of all of them.
    """
    wanted = {"database": database, "keep_months": keep.months, "keep_days": keep.days}
    run_statement(connection, "store", "note_served", wanted)
    others = fetch(connection, "store", "list_served")
    spans = [keep, *(CalendarSpan(*other) for other in others)]
    return min(spans, key=lambda span: span.before(today))


def forget_runs(connection: Connection, database: str, before: datetime, now: UUID) -> None:
    """Delete a database's runs that began before a moment, with their journal and findings.

    Args:
        connection: a session on the store.
        database: the policy's name.
        before: if our clock was changed, this may be after the start of the current run.
        now: the current run, which is kept.
    """
    which = {"database": database, "before": before, "kept": now}
    run_statement(connection, "store", "forget_runs", which)
