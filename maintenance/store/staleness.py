"""The newest recorded staleness of each table of computed rows."""

from datetime import datetime
from typing import NamedTuple

from psycopg.rows import class_row

from maintenance.server.session import Connection


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
    connection.execute(
        "INSERT INTO maintenance.stale_analytics VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (database, table_name) DO UPDATE SET seen_at = excluded.seen_at,"
        " n_stale = excluded.n_stale, oldest_age_s = excluded.oldest_age_s",
        (database, table, seen_at, n_stale, oldest_age_s),
    )


def read_staleness(connection: Connection, database: str) -> list[StalenessReading]:
    """Return the recorded staleness of the tables of a database."""
    with connection.cursor(row_factory=class_row(StalenessReading)) as cursor:
        return cursor.execute(
            "SELECT table_name, seen_at, n_stale, oldest_age_s FROM maintenance.stale_analytics"
            " WHERE database = %s ORDER BY table_name",
            (database,),
        ).fetchall()
