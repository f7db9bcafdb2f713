"""The newest look at each table of computed rows."""

from datetime import datetime
from typing import NamedTuple

from maintenance.server.session import Connection, fetch, run_statement


class StalenessReading(NamedTuple):
    """How many rows of a table were stale when it was last looked at."""

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
    """Replace what is known of a table."""
    reading = StalenessReading(table, seen_at, n_stale, oldest_age_s)
    parameters = {"database": database, **reading._asdict()}
    run_statement(connection, "store", "replace_staleness", parameters)


def read_staleness(connection: Connection, database: str) -> list[StalenessReading]:
    """Return what is known of the tables of a database."""
    rows = fetch(connection, "store", "list_staleness", {"database": database})
    return [StalenessReading(*row) for row in rows]
