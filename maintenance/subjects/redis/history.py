"""Read and record the cache's counters in the store."""

from psycopg.rows import class_row

from maintenance.redis_client.models import LEAST_LOOKUPS, CacheFacts
from maintenance.server.session import Connection

_COLUMNS = ", ".join(CacheFacts._fields)
_KEPT_DAYS = 90


def before(connection: Connection, database: str, now: CacheFacts) -> CacheFacts | None:
    """Return the newest record of the same server with enough lookups since for a hit rate."""
    with connection.cursor(row_factory=class_row(CacheFacts)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM maintenance.cache_look"
            " WHERE database = %s AND server_run = %s AND hits + misses <= %s"
            " ORDER BY seen_at DESC LIMIT 1".encode(),
            (database, now.server_run, now.n_lookups - LEAST_LOOKUPS),
        ).fetchone()


def keep(connection: Connection, database: str, facts: CacheFacts) -> None:
    """Record the counters, and delete old records."""
    connection.execute(
        "WITH old AS (DELETE FROM maintenance.cache_look WHERE database = %s"
        " AND seen_at < pg_catalog.clock_timestamp() - pg_catalog.make_interval(days => %s))"
        f" INSERT INTO maintenance.cache_look (database, {_COLUMNS})"
        f" VALUES (%s, {', '.join(['%s'] * len(facts))})".encode(),
        (database, _KEPT_DAYS, database, *facts),
    )
