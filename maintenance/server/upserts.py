"""Find upserts of the application, which can fail beside the concurrent build of a unique index.

Up to PostgreSQL 18 an `INSERT … ON CONFLICT` can fail with a false unique violation meanwhile.
Source: PostgreSQL 19 release notes; commits bc32a12 and 2bc7e886.
"""

import re
from collections.abc import Collection, Mapping

from maintenance.names import QualifiedName, quote
from maintenance.server.session import Connection, fetch

_EXTENSION = "pg_stat_statements"
_INTO = re.compile(
    r'\binsert\s+into\s+(?:(?:"[^"]+"|\w+)\s*\.\s*)?(?P<table>"[^"]+"|\w+)', re.IGNORECASE
)
_MOST = 5000


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
    (found,) = fetch(connection, "server", "find_extension", {"name": _EXTENSION})
    if found.schema is None or not found.is_loaded or not found.sees_all:
        return None
    view = f"{quote(found.schema)}.{_EXTENSION}"
    query = (
        f"SELECT s.query, s.calls FROM {view} AS s"
        " WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database AS d"
        " WHERE d.datname = pg_catalog.current_database())"
        f" AND s.query ~* 'on\\s+conflict' ORDER BY s.calls DESC LIMIT {_MOST}"
    )
    rows = connection.execute(query.encode()).fetchall()
    calls: dict[str, int] = {}
    for text, n_calls in rows:
        for match in _INTO.finditer(text):
            name = _name(match["table"])
            calls[name] = calls.get(name, 0) + int(n_calls)
    return {table: calls[table.name] for table in tables if table.name in calls}


def _name(written: str) -> str:
    return written[1:-1] if written.startswith('"') else written.lower()
