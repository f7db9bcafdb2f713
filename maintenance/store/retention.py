"""What the store keeps by the month, and for how long."""

from datetime import date, datetime
from uuid import UUID

from maintenance.names import QualifiedName
from maintenance.periods import CalendarSpan
from maintenance.server.session import Connection, fetch, run_statement

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
    wanted = {"database": database, "keep_months": keep.months, "keep_days": keep.days}
    run_statement(connection, "store", "note_served", wanted)
    others = fetch(connection, "store", "list_served")
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
    which = {"database": database, "before": before, "kept": now}
    run_statement(connection, "store", "forget_runs", which)
