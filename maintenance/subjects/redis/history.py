"""Read and record the cache's counters in the store."""

from maintenance.redis_client.models import LEAST_LOOKUPS, CacheFacts
from maintenance.server.session import Connection, fetch, run_statement

_KEPT_DAYS = 90


def before(connection: Connection, database: str, now: CacheFacts) -> CacheFacts | None:
    """Return the newest record of the same server with enough lookups since for a hit rate."""
    about = {
        "database": database,
        "server_run": now.server_run,
        "most_lookups": now.n_lookups - LEAST_LOOKUPS,
    }
    rows = fetch(connection, "store", "find_earlier_cache_look", about)
    return CacheFacts(*rows[0]) if rows else None


def keep(connection: Connection, database: str, facts: CacheFacts) -> None:
    """Record the counters, and delete old records."""
    parameters = {"database": database, "kept_days": _KEPT_DAYS, **facts._asdict()}
    run_statement(connection, "store", "add_cache_look", parameters)


def newest_cache_looks(connection: Connection, database: str, most: int) -> list[CacheFacts]:
    """Return the newest looks, newest first."""
    about = {"database": database, "most": most}
    return [CacheFacts(*row) for row in fetch(connection, "store", "list_cache_looks", about)]
