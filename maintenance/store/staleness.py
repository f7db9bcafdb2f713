"""The newest recorded staleness of each table of computed rows."""

from datetime import datetime
from typing import NamedTuple

from maintenance.server.session import Connection, fetch, run_statement


class StalenessReading(NamedTuple):
    """The number of stale rows of a table at its last observation."""

    table_name: str
    seen_at: datetime
    n_stale: int
    oldest_age_s: float | None


def keep_staleness(
    connection: Connection,
    database: str,
    table: str,
    seen_at: datetime,
    n_stale: int,
    oldest_age_s: float | None,
) -> None:
    """Replace the recorded staleness of a table."""
    reading = StalenessReading(table, seen_at, n_stale, oldest_age_s)
    parameters = {"database": database, **reading._asdict()}
    run_statement(connection, "store", "replace_staleness", parameters)


def read_staleness(connection: Connection, database: str) -> list[StalenessReading]:
    """Return the recorded staleness of the tables of a database."""
    rows = fetch(connection, "store", "list_staleness", {"database": database})
    return [StalenessReading(*row) for row in rows]
