"""Retention of the store's own history."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from maintenance.names import QualifiedName
from maintenance.periods import CalendarSpan
from maintenance.server.session import Connection, fetch, run_statement

SCHEMA = "maintenance"


def history_due(
    connection: Connection, wanted: Sequence[datetime], before: datetime
) -> list[QualifiedName]:
    """Return the history tables that upkeep has something to do for, by one look at the catalog.

    Args:
        connection: a session on the store.
        wanted: moments that need a partition.
        before: a partition that ended by then is to be dropped.
    """
    moments = {"wanted": list(wanted), "before": before}
    return [
        QualifiedName(SCHEMA, row.name)
        for row in fetch(connection, "store", "list_history_due", moments)
    ]


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
