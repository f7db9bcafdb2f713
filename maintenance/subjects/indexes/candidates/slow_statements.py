"""The slowest queries of this database, as pg_stat_statements has them.

Texts are those of the server, with `$1` for values. They may still have values, where an entry was
evicted while its statement ran, so what is shown of them is normalized.
Source: PostgreSQL manual, F.32 pg_stat_statements.
"""

import re
from collections.abc import Iterable
from typing import Any

from psycopg.rows import namedtuple_row

from maintenance.names import quote
from maintenance.server.query_text import (
    MOST_CHARACTERS,
    is_application,
    is_ours,
    key_of,
    normalised,
    writes_rows,
)
from maintenance.server.session import Connection, fetch
from maintenance.subjects.indexes.candidates.models import SlowStatement, SlowStatements

_EXTENSION = "pg_stat_statements"
LEAST_CALLS = 3
"""A query that was called more rarely is a report or a person at a prompt."""
_READ = 5
"""So many entries are read for each statement that is wanted: texts are merged, some left out."""

_TYPED = re.compile(
    r"\b(interval|date|time(?:stamp)?(?:tz|\s+with(?:out)?\s+time\s+zone)?)\s+(\$\d+)(?![\w.])",
    re.IGNORECASE,
)


def read_slow_statements(connection: Connection, mean_ms: float, most: int) -> SlowStatements:
    """Return the application's queries with the most time among those that are slow.

    Args:
        connection: a session in a read-only transaction.
        mean_ms: the mean time from which a query is slow, in milliseconds.
        most: how many.
    """
    (found,) = fetch(connection, "server", "find_extension", {"name": _EXTENSION})
    if found.schema is None:
        return SlowStatements(silence=f"the extension {_EXTENSION} is not in this database")
    (state,) = fetch(connection, "workload", "find_statement_counters", {"schema": found.schema})
    if not state.is_loaded:
        return SlowStatements(silence=f"the server was started without {_EXTENSION}")
    if not state.is_current:
        return SlowStatements(silence=f"ALTER EXTENSION {_EXTENSION} UPDATE is required")
    if not (state.may_use and state.may_read and state.may_call):
        return SlowStatements(silence=f"this role may not read {_EXTENSION}")
    schema = quote(found.schema)
    reset = connection.execute(
        f"SELECT i.stats_reset FROM {schema}.pg_stat_statements_info AS i".encode()
    ).fetchone()
    about = {"mean_ms": mean_ms, "calls": LEAST_CALLS, "characters": MOST_CHARACTERS}
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        question = _question(schema).encode()
        rows = cursor.execute(question, {**about, "most": most * _READ}).fetchall()
    statements = sorted(_merged(rows), key=lambda each: -each.total_ms)[:most]
    hidden = 0 if found.sees_all else _hidden(connection, schema)
    return SlowStatements(tuple(statements), "", reset[0] if reset else None, hidden)


def _question(schema: str) -> str:
    return f"""
SELECT s.query, pg_catalog.sum(s.calls)::int8 AS calls,
       pg_catalog.sum(s.total_exec_time) AS total_ms
FROM {schema}.pg_stat_statements AS s
WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database AS d
                WHERE d.datname = pg_catalog.current_database())
  AND pg_catalog.length(s.query) <= %(characters)s
  AND s.query ~* '^\\s*(/\\*.*\\*/\\s*|--[^\\n]*\\n\\s*)*(select|with|\\()'
GROUP BY s.query
HAVING pg_catalog.sum(s.calls) >= %(calls)s
   AND pg_catalog.sum(s.total_exec_time) >= %(mean_ms)s * pg_catalog.sum(s.calls)
ORDER BY total_ms DESC
LIMIT %(most)s"""


def _hidden(connection: Connection, schema: str) -> int:
    row = connection.execute(
        f"SELECT pg_catalog.count(*) FROM {schema}.pg_stat_statements AS s"
        " WHERE s.query = '<insufficient privilege>'".encode()
    ).fetchone()
    return int(row[0]) if row else 0


def _merged(rows: Iterable[Any]) -> Iterable[SlowStatement]:
    """Merge statements that differ only in what is left out of a normalized text."""
    found: dict[str, SlowStatement] = {}
    for row in rows:
        text = normalised(row.query)
        if is_ours(row.query) or not is_application(text) or writes_rows(text):
            continue
        key = key_of(text)
        known = found.get(key)
        calls = row.calls + (known.calls if known is not None else 0)
        total = row.total_ms + (known.total_ms if known is not None else 0.0)
        query = known.query if known is not None else plannable(row.query)
        found[key] = SlowStatement(key, text, query, calls, total / calls, total)
    return found.values()


def plannable(query: str) -> str:
    """Return a text of pg_stat_statements as the server parses it.

    A constant that is written behind its type, such as `interval '1 day'`, becomes `interval $1`
    there, which is no SQL.
    """
    return _TYPED.sub(r"CAST(\2 AS \1)", query)
