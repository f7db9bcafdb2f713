"""How a server went over the last months: from the store alone."""

from datetime import datetime
from typing import NamedTuple

from psycopg.rows import class_row

from maintenance.server.session import Connection


class Moment(NamedTuple):
    """The server at one look; rates are None where they can't be known."""

    taken_at: datetime
    connections: float
    hit_rate: float | None
    wraparound: float
    size_bytes: int | None
    replication_lag_bytes: int | None


class Statement(NamedTuple):
    """What one statement did on one server up to the newest look, since the one before."""

    server: str
    statement: str
    text: str
    calls: int
    total_ms: float
    mean_ms: float
    blocks_read: int


class Table(NamedTuple):
    """A table at the newest look."""

    object: str
    n_partitions: int
    size_bytes: int
    grown_in_a_week: int | None


def moments(store: Connection, database: str) -> list[Moment]:
    """Return the looks of the last three months, oldest first."""
    with store.cursor(row_factory=class_row(Moment)) as cursor:
        return cursor.execute(
            "SELECT taken_at, n_connections::float8 / n_usable AS connections,"
            " CASE WHEN epoch = before_epoch AND blocks_hit >= before_hit"
            " AND blocks_read >= before_read THEN (blocks_hit - before_hit)::float8"
            " / nullif(blocks_hit - before_hit + blocks_read - before_read, 0) END AS hit_rate,"
            " wraparound, size_bytes, replication_lag_bytes FROM ("
            "SELECT w.*, pg_catalog.lag(epoch) OVER t AS before_epoch,"
            " pg_catalog.lag(blocks_hit) OVER t AS before_hit,"
            " pg_catalog.lag(blocks_read) OVER t AS before_read FROM maintenance.workload w"
            " WHERE database = %s AND server = 'primary'"
            " AND taken_at > pg_catalog.now() - interval '3 months'"
            " WINDOW t AS (ORDER BY taken_at)) s ORDER BY taken_at",
            (database,),
        ).fetchall()


def months(store: Connection, database: str) -> dict[str, int]:
    """Return the database's last known size in each month, `2026-11`, oldest first."""
    rows = store.execute(
        "SELECT DISTINCT ON (1) pg_catalog.to_char(taken_at AT TIME ZONE 'UTC', 'YYYY-MM'),"
        " size_bytes FROM maintenance.workload WHERE database = %s AND size_bytes IS NOT NULL"
        " ORDER BY 1, taken_at DESC",
        (database,),
    )
    return dict(rows.fetchall())


def heaviest(store: Connection, database: str, most: int) -> list[Statement]:
    """Return the statements with the most time in the newest window."""
    with store.cursor(row_factory=class_row(Statement)) as cursor:
        return cursor.execute(
            "SELECT server, statement, text, calls, total_ms, mean_ms, blocks_read"
            " FROM maintenance.query_performance_monitor WHERE database = %(database)s"
            " AND calls > 0 AND taken_at = (SELECT pg_catalog.max(taken_at)"
            " FROM maintenance.statement WHERE database = %(database)s)"
            " ORDER BY total_ms DESC, server, statement LIMIT %(most)s",
            {"database": database, "most": most},
        ).fetchall()


def largest(store: Connection, database: str, most: int) -> list[Table]:
    """Return the largest tables at the newest look."""
    with store.cursor(row_factory=class_row(Table)) as cursor:
        return cursor.execute(
            "SELECT object, n_partitions, size_bytes, grown_in_a_week"
            " FROM maintenance.table_size_monitor WHERE database = %s"
            " ORDER BY size_bytes DESC, object LIMIT %s",
            (database, most),
        ).fetchall()
