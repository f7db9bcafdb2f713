"""Find upserts of the application, which can fail while a unique index is built or changed.

Up to PostgreSQL 18 an `INSERT … ON CONFLICT` can fail with a false unique violation beside the
concurrent build of a unique index.
Source: PostgreSQL 19 release notes; commits bc32a12 and 2bc7e886; manual, F.32 pg_stat_statements.
"""

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from maintenance.names import QualifiedName, quote
from maintenance.server.session import Connection, fetch

_EXTENSION = "pg_stat_statements"
_INTO = re.compile(
    r'\binsert\s+into\s+(?:(?:"[^"]+"|\w+)\s*\.\s*)?(?P<table>"[^"]+"|\w+)', re.IGNORECASE
)
_MOST = 5000


class Upsert(NamedTuple):
    """A statement with ON CONFLICT, as the server counts it."""

    text: str
    n_calls: int


class Upserts(NamedTuple):
    """The upserts that the server has counted.

    Attributes:
        statements: those with most calls first.
        is_complete: whether statements are counted, and this role sees those of all roles.
    """

    statements: tuple[Upsert, ...] = ()
    is_complete: bool = False


def read_upserts(connection: Connection) -> Upserts:
    """Return the statements of this database with ON CONFLICT that this role may see.

    Args:
        connection: a session in a read-only transaction.
    """
    (found,) = fetch(connection, "server", "find_extension", {"name": _EXTENSION})
    if found.schema is None or not found.is_loaded:
        return Upserts()
    query = (
        f"SELECT s.query, s.calls FROM {quote(found.schema)}.{_EXTENSION} AS s"
        " WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database AS d"
        " WHERE d.datname = pg_catalog.current_database())"
        f" AND s.query ~* 'on\\s+conflict' ORDER BY s.calls DESC LIMIT {_MOST}"
    )
    rows = connection.execute(query.encode()).fetchall()
    return Upserts(tuple(Upsert(*row) for row in rows), found.sees_all)


def upserts_into(
    connection: Connection, tables: Collection[QualifiedName]
) -> Mapping[QualifiedName, int] | None:
    """Return how often statements with ON CONFLICT inserted into tables, as far as counted.

    A statement counts for all tables of that name, whatever their schema.

    Args:
        connection: a session in a read-only transaction.
        tables: to look for.

    Returns:
        Calls by table, only of those with some; None if the server does not count statements, or
        does not show them to our role.
    """
    found = read_upserts(connection)
    if not found.is_complete:
        return None
    calls: dict[str, int] = {}
    for text, n_calls in found.statements:
        for match in _INTO.finditer(text):
            name = _name(match["table"])
            calls[name] = calls.get(name, 0) + n_calls
    return {table: calls[table.name] for table in tables if table.name in calls}


def _name(written: str) -> str:
    return written[1:-1] if written.startswith('"') else written.lower()
