"""Reads the texts of upserts: from pg_stat_statements where it is installed, and from functions.

Source: PostgreSQL manual, F.32 pg_stat_statements.
"""

from contextlib import suppress

import psycopg

from maintenance.names import QualifiedName, quote
from maintenance.server.session import Connection, fetch

NAME = "pg_stat_statements"
MOST = 1000


def read_upserts(connection: Connection, table: QualifiedName) -> tuple[str, ...]:
    """Return the texts of statements and functions that may upsert into a table.

    Call it in a transaction. Texts that this role may not read are missing.
    """
    pattern = f"%{_escaped(table.name)}%"
    rows = fetch(connection, "conversion", "list_upserting_functions", {"table": pattern})
    texts = [row.source for row in rows]
    (found,) = fetch(connection, "server", "find_extension", {"name": NAME})
    if found.schema is None or not found.is_loaded:
        return tuple(texts)
    query = (
        f"SELECT s.query FROM {quote(found.schema)}.{NAME} AS s"
        " JOIN pg_catalog.pg_database AS d ON d.oid = s.dbid"
        " WHERE d.datname = pg_catalog.current_database() AND s.query ILIKE '%%on conflict%%'"
        " AND s.query ILIKE %s ORDER BY s.calls DESC LIMIT %s"
    )
    with (
        suppress(
            psycopg.errors.InsufficientPrivilege,
            psycopg.errors.UndefinedTable,
        ),
        connection.transaction(),
    ):
        texts += [text for (text,) in connection.execute(query.encode(), (pattern, MOST))]
    return tuple(texts)


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
