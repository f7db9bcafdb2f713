"""Pending cache invalidations: recorded before the work, deleted after Redis received them."""

from collections.abc import Collection, Mapping
from typing import Any

from psycopg.types.json import Jsonb

from maintenance.redis_client.models import PendingInvalidation
from maintenance.server.session import Connection, fetch, run_statement


def add_invalidation(
    connection: Connection,
    database: str,
    object_: str,
    patterns: Collection[str],
    message: Mapping[str, Any],
) -> None:
    """Record an invalidation; a pending one of the same object is merged with it."""
    parameters = {
        "database": database,
        "object": object_,
        "patterns": list(patterns),
        "message": Jsonb(dict(message)),
    }
    run_statement(connection, "store", "add_invalidation", parameters)


def pending_invalidations(connection: Connection, database: str) -> list[PendingInvalidation]:
    """Return the pending invalidations, oldest first."""
    rows = fetch(connection, "store", "list_invalidations", {"database": database})
    return [PendingInvalidation(*row) for row in rows]


def remove_invalidation(connection: Connection, database: str, object_: str) -> None:
    """Delete an invalidation: it was sent, or nothing had changed."""
    about = {"database": database, "object": object_}
    run_statement(connection, "store", "remove_invalidation", about)


def defer_invalidation(connection: Connection, database: str, object_: str, error: str) -> None:
    """Record a failed attempt of an invalidation."""
    about = {"database": database, "object": object_, "error": error}
    run_statement(connection, "store", "defer_invalidation", about)
