"""Invalidations that the cache is owed: noted before the work, gone once the cache was told."""

from collections.abc import Collection, Mapping
from typing import Any

from psycopg.types.json import Jsonb

from maintenance.redis_client.models import Owed
from maintenance.server.session import Connection, fetch, run_statement


def owe(
    connection: Connection,
    database: str,
    object_: str,
    patterns: Collection[str],
    message: Mapping[str, Any],
) -> None:
    """Note an invalidation; what is owed already of the same object is done with it."""
    parameters = {
        "database": database,
        "object": object_,
        "patterns": list(patterns),
        "message": Jsonb(dict(message)),
    }
    run_statement(connection, "store", "add_invalidation", parameters)


def owed(connection: Connection, database: str) -> list[Owed]:
    """Return what is owed, oldest first."""
    rows = fetch(connection, "store", "list_invalidations", {"database": database})
    return [Owed(*row) for row in rows]


def settle(connection: Connection, database: str, object_: str) -> None:
    """Forget an invalidation: it is done, or nothing had changed."""
    about = {"database": database, "object": object_}
    run_statement(connection, "store", "remove_invalidation", about)


def defer(connection: Connection, database: str, object_: str, error: str) -> None:
    """Note that an invalidation was tried in vain."""
    about = {"database": database, "object": object_, "error": error}
    run_statement(connection, "store", "defer_invalidation", about)
