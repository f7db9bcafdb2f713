"""Read pg_stat_statements: the heaviest statements of this database, by normalized text.

Statements of this software's SQL library are left out; their cost is recorded for each run.

Source: PostgreSQL manual, F.32 pg_stat_statements.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from maintenance.names import quote
from maintenance.server.query_text import (
    is_ours,
    key_of,
    normalised,
    normalised_body,
    words,
)
from maintenance.server.session import Connection, fetch
from maintenance.subjects.workload.models import Counts, Sample, Statements

NAME = "pg_stat_statements"
MOST = 300
"""How many entries are read by each of: most time, most calls, longest call."""
HIDDEN = "<insufficient privilege>"
MANY_CALLS = 1000
ROWS_OF_LOOP = 1.05
"""Rows per call up to which many calls may look like a loop."""
MOST_FUNCTIONS = 500
"""How many functions that ANALYZE may run are read."""

_MAKE = f"CREATE EXTENSION {NAME}"
_PRELOAD = f"shared_preload_libraries = '{NAME}' (the server must restart)"
_UPDATE = f"ALTER EXTENSION {NAME} UPDATE"


def read_statements(connection: Connection, now: datetime) -> Statements:
    """Read the counters of the statements with the most time, the most calls or the longest call.

    Call it in a transaction. A missing extension is reported in the result, not raised.
    """
    (found,) = fetch(connection, "server", "find_extension", {"name": NAME})
    if found.schema is None:
        preloaded = found.is_loaded
        if not (found.is_available or preloaded):
            return Statements(
                None, f"install the server's contrib package, which contains {NAME}", False
            )
        return Statements(None, _MAKE if preloaded else f"{_PRELOAD}, then {_MAKE}")
    remedy, columns = _obstacle(connection, found)
    if remedy:
        return Statements(None, remedy)
    schema = quote(found.schema)
    try:
        with connection.transaction():
            epoch, evicted = _epoch(connection, schema)
            rows = _rows(connection, schema, columns)
    except psycopg.errors.ObjectNotInPrerequisiteState:
        return Statements(None, _PRELOAD)
    shown = [row for row in rows if row.query is not None and row.query != HIDDEN]
    theirs = [row for row in shown if not is_ours(row.query)]
    counts = _merged(theirs)
    counts |= _run_by_analyze(connection, counts)
    sample = Sample(now, epoch, evicted, counts, _unseen_ms(rows))
    hidden = sum(1 for row in rows if row.query == HIDDEN)
    return Statements(sample, hidden=hidden)


def _obstacle(connection: Connection, found: Any) -> tuple[str, Collection[str]]:
    """Return what to do before the counters can be read, if anything; and the view's columns.

    The extension may be older than the server.
    """
    about = {"schema": found.schema}
    (state,) = fetch(connection, "workload", "find_statement_counters", about)
    if not state.is_loaded:
        return _PRELOAD, ()
    if not state.is_current:
        return _UPDATE, ()
    schema = quote(found.schema)
    view, functions = f"{schema}.{NAME}", f"{schema}.{NAME}(boolean), {schema}.{NAME}_info()"
    missing = [
        f"GRANT {right} TO {found.role}"
        for right, is_there in (
            (f"USAGE ON SCHEMA {schema}", state.may_use),
            (f"SELECT ON {view}, {view}_info", state.may_read),
            (f"EXECUTE ON FUNCTION {functions}", state.may_call),
        )
        if not is_there
    ]
    return "; ".join(missing), set(state.columns)


def _unseen_ms(rows: Sequence[Any]) -> float:
    """Return the longest call that an entry can have had whose text is not among the rows.

    A single call takes no longer than all calls together, so one that is neither among the longest
    nor among those with the most time is below both limits.
    """
    hidden = [row.max_ms for row in rows if row.query is None or row.query == HIDDEN]
    by_time = [row.total_ms for row in rows if row.by_time <= MOST]
    by_longest = [row.max_ms for row in rows if row.by_longest <= MOST]
    cut_off = 0.0 if len(by_time) < MOST else min(*by_time, *by_longest)
    return max([cut_off, *hidden])


def _epoch(connection: Connection, schema: str) -> tuple[str, int]:
    row = connection.execute(
        f"SELECT stats_reset::text, dealloc FROM {schema}.pg_stat_statements_info".encode()
    ).fetchone()
    return (str(row[0]), int(row[1])) if row else ("", 0)


def _rows(connection: Connection, schema: str, columns: Collection[str]) -> list[Any]:
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(_question(schema, columns).encode(), {"most": MOST}).fetchall()


def _question(schema: str, columns: Collection[str]) -> str:
    read_ms = "shared_blk_read_time" if "shared_blk_read_time" in columns else "blk_read_time"
    # With several entries one may restart unnoticed; then the start of the counters is unknown.
    alone = "CASE WHEN pg_catalog.count(*) = 1 THEN pg_catalog.min(s.stats_since) END"
    since = alone if "stats_since" in columns else "NULL::timestamptz"
    return f"""
WITH entry AS (
  SELECT s.query, {since} AS since,
         pg_catalog.sum(s.calls)::int8 AS calls,
         pg_catalog.sum(s.total_exec_time) AS total_ms,
         pg_catalog.sum(s.calls * (s.stddev_exec_time ^ 2 + s.mean_exec_time ^ 2)) AS squares_ms,
         pg_catalog.max(s.max_exec_time) AS max_ms,
         pg_catalog.sum(s.rows)::int8 AS n_rows,
         pg_catalog.sum(s.shared_blks_hit)::int8 AS blocks_hit,
         pg_catalog.sum(s.shared_blks_read)::int8 AS blocks_read,
         pg_catalog.sum(s.{read_ms}) AS read_ms,
         pg_catalog.sum(s.temp_blks_written)::int8 AS temp_blocks,
         pg_catalog.sum(s.wal_bytes)::int8 AS wal_bytes,
         pg_catalog.count(*) AS n_entries,
         NOT pg_catalog.bool_or(s.toplevel) AS is_nested
  FROM {schema}.pg_stat_statements s
  WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database d
                  WHERE d.datname = pg_catalog.current_database())
  GROUP BY s.query
), ranked AS (
  SELECT e.*, pg_catalog.row_number() OVER (ORDER BY e.total_ms DESC) AS by_time,
         pg_catalog.row_number() OVER (ORDER BY e.calls DESC) AS by_calls,
         pg_catalog.row_number() OVER (ORDER BY e.max_ms DESC) AS by_longest
  FROM entry e
)
SELECT r.* FROM ranked r
WHERE r.by_time <= %(most)s OR r.by_calls <= %(most)s OR r.by_longest <= %(most)s"""


def _run_by_analyze(connection: Connection, counts: Mapping[str, Counts]) -> dict[str, Counts]:
    """Return the statements of functions that ANALYZE evaluates, as nested ones.

    Only those are looked for that could be taken for a loop.
    """
    often = {
        key: each
        for key, each in counts.items()
        if each.calls >= MANY_CALLS and each.n_rows <= ROWS_OF_LOOP * each.calls
    }
    if not often:
        return {}
    bodies = sampled_code(fetch(connection, "workload", "list_function_sources"))
    return {
        key: each._replace(is_nested=True)
        for key, each in often.items()
        if any(each.text in body for body in bodies)
    }


def sampled_code(rows: Iterable[Any]) -> Sequence[str]:
    """Return the normalized sources of the functions that ANALYZE runs, and of those they call.

    Args:
        rows: those of `list_function_sources`.
    """
    left = [(row.name.lower(), row.source) for row in rows if not row.is_sampled]
    called = [row.source for row in rows if row.is_sampled]
    found: list[str] = []
    while called and len(found) < MOST_FUNCTIONS:
        found += called
        known = frozenset[str]().union(*map(words, called))
        called = [source for name, source in left if name in known]
        left = [(name, source) for name, source in left if name not in known]
    return [body for body in map(normalised_body, found[:MOST_FUNCTIONS]) if body]


def _merged(rows: Iterable[Any]) -> dict[str, Counts]:
    """Merge statements that differ only in their literals."""
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[normalised(row.query)].append(row)
    return {key_of(text): _counts(text, same) for text, same in found.items()}


def _counts(text: str, rows: list[Any]) -> Counts:
    return Counts(
        text=text,
        since=rows[0].since if len(rows) == 1 else None,
        calls=sum(row.calls for row in rows),
        total_ms=sum(row.total_ms for row in rows),
        squares_ms=sum(row.squares_ms for row in rows),
        max_ms=max(row.max_ms for row in rows),
        n_rows=sum(row.n_rows for row in rows),
        blocks_hit=sum(row.blocks_hit for row in rows),
        blocks_read=sum(row.blocks_read for row in rows),
        read_ms=sum(row.read_ms for row in rows),
        temp_blocks=sum(row.temp_blocks for row in rows),
        wal_bytes=sum(row.wal_bytes for row in rows),
        n_entries=sum(row.n_entries for row in rows),
        is_nested=all(row.is_nested for row in rows),
    )
