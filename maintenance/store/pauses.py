"""Pauses of a database."""

from datetime import datetime

from maintenance.policy.pauses import Pause
from maintenance.server.session import Connection, fetch, run_statement


def read_pause(connection: Connection, database: str) -> Pause | None:
    """Return the active pause of a database, by the clock of the store; None without one."""
    rows = fetch(connection, "store", "find_pause", {"database": database})
    return Pause(*rows[0]) if rows else None


def begin_pause(
    connection: Connection, database: str, until: datetime | None, reason: str, by: str
) -> None:
    """Pause a database; an active pause is replaced."""
    parameters = {"database": database, "until": until, "reason": reason, "paused_by": by}
    run_statement(connection, "store", "add_pause", parameters)


def end_pause(connection: Connection, database: str, by: str) -> None:
    """End the pause of a database, if there is one."""
    run_statement(connection, "store", "end_pause", {"database": database, "ended_by": by})
