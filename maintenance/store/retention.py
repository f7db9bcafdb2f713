"""Retention of the store's own history."""

from datetime import date, datetime
from uuid import UUID

from maintenance.names import QualifiedName
from maintenance.periods import CalendarSpan
from maintenance.server.session import Connection, fetch

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
    row = (database, keep.months, keep.days)
    connection.execute(
        "INSERT INTO maintenance.served (database, keep_months, keep_days) VALUES (%s, %s, %s)"
        " ON CONFLICT (database) DO UPDATE SET keep_months = excluded.keep_months,"
        " keep_days = excluded.keep_days, seen_at = pg_catalog.clock_timestamp()",
        row,
    )
    others = connection.execute("SELECT keep_months, keep_days FROM maintenance.served").fetchall()
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
    connection.execute(
        "DELETE FROM maintenance.run WHERE database = %s AND started_at < %s AND id <> %s",
        (database, before, now),
    )
