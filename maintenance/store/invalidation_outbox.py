"""Pending cache invalidations: recorded before the work, deleted after Redis received them."""

from collections.abc import Collection, Mapping
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from maintenance.redis_client.models import Owed
from maintenance.server.session import Connection


def owe(
    connection: Connection,
    database: str,
    object_: str,
    patterns: Collection[str],
    message: Mapping[str, Any],
) -> None:
    """Record an invalidation; a pending one of the same object is merged with it."""
    connection.execute(
        "INSERT INTO maintenance.invalidation AS i (database, object, patterns, message)"
        " VALUES (%s, %s, %s, %s) ON CONFLICT (database, object) DO UPDATE SET"
        " message = excluded.message, patterns = ARRAY(SELECT DISTINCT p.pattern FROM"
        " pg_catalog.unnest(i.patterns || excluded.patterns) AS p (pattern) ORDER BY 1)",
        (database, object_, list(patterns), Jsonb(dict(message))),
    )


def owed(connection: Connection, database: str) -> list[Owed]:
    """Return the pending invalidations, oldest first."""
    with connection.cursor(row_factory=class_row(Owed)) as cursor:
        return cursor.execute(
            "SELECT object, patterns, message, owed_at, attempts, error"
            " FROM maintenance.invalidation WHERE database = %s ORDER BY owed_at, object",
            (database,),
        ).fetchall()


def settle(connection: Connection, database: str, object_: str) -> None:
    """Delete an invalidation: it was sent, or nothing had changed."""
    connection.execute(
        "DELETE FROM maintenance.invalidation WHERE database = %s AND object = %s",
        (database, object_),
    )


def defer(connection: Connection, database: str, object_: str, error: str) -> None:
    """Record a failed attempt of an invalidation."""
    connection.execute(
        "UPDATE maintenance.invalidation SET attempts = attempts + 1, error = %s"
        " WHERE database = %s AND object = %s",
        (error, database, object_),
    )
