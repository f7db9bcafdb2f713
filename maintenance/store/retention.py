"""What the store keeps by the month, and for how long."""

from datetime import date, datetime
from uuid import UUID

from maintenance.names import QualifiedName
from maintenance.periods import CalendarSpan
from maintenance.server.session import Connection, fetch

SCHEMA = "maintenance"


def history_tables(connection: Connection) -> list[QualifiedName]:
    """Return the tables that hold snapshots: partitioned by RANGE of `taken_at` alone."""
    rows = fetch(connection, "store", "list_history")
    return [QualifiedName(SCHEMA, row.name) for row in rows]


def longest_keep(
    connection: Connection, database: str, keep: CalendarSpan, today: date
) -> CalendarSpan:
    """Note how long a database wants its history, and return the most that any wants.

    One store may serve many databases, and a month holds rows of all of them.
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
    """Remove a database's runs that began before a moment, with their journal and findings.

    Args:
        connection: a session on the store.
        database: the policy's name.
        before: where our clock was moved, this may lie ahead of the run that asks.
        now: that run, which stays.
    """
    connection.execute(
        "DELETE FROM maintenance.run WHERE database = %s AND started_at < %s AND id <> %s",
        (database, before, now),
    )
