"""PgHero's queries and computation of unused and duplicate indexes.

Source: ankane/pghero, lib/pghero/methods/indexes.rb, 3.x.
"""

from collections import defaultdict
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

UNUSED = """
SELECT schemaname AS schema, relname AS table, indexrelname AS index,
       pg_relation_size(i.indexrelid) AS size_bytes, idx_scan AS index_scans
FROM pg_stat_user_indexes ui
INNER JOIN pg_index i ON ui.indexrelid = i.indexrelid
WHERE NOT indisunique AND idx_scan <= 50
ORDER BY pg_relation_size(i.indexrelid) DESC, relname ASC
"""
INDEXES = r"""
SELECT schemaname AS schema, t.relname AS table, ix.relname AS name,
       regexp_replace(pg_get_indexdef(i.indexrelid), '^[^\(]*\((.*)\)$', '\1') AS columns,
       regexp_replace(pg_get_indexdef(i.indexrelid), '.* USING ([^ ]*) \(.*', '\1') AS using,
       indisunique AS unique, indisprimary AS primary, indisvalid AS valid,
       indexprs::text, indpred::text, pg_get_indexdef(i.indexrelid) AS definition
FROM pg_index i
INNER JOIN pg_class t ON t.oid = i.indrelid
INNER JOIN pg_class ix ON ix.oid = i.indexrelid
LEFT JOIN pg_stat_user_indexes ui ON ui.indexrelid = i.indexrelid
WHERE schemaname IS NOT NULL
ORDER BY 1, 2
"""


def advise(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """Count the unused and the duplicate indexes, as PgHero's space and index pages do."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        unused = cursor.execute(UNUSED).fetchall()
        found: list[Any] = cursor.execute(INDEXES.encode()).fetchall()
    tables: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for index in found:
        tables[index.schema, index.table].append((index, index.columns.split(", ")))
    return len(unused), sum(map(_duplicates, tables.values()))


def _duplicates(indexes: list[Any]) -> int:
    plain = (pair for pair in indexes if pair[0].valid and not pair[0].unique)
    return sum(any(_covers(other, pair) for other in indexes) for pair in plain)


def _covers(one: Any, other: Any) -> bool:
    (a, a_columns), (b, b_columns) = one, other
    return (
        a.valid
        and a.name != b.name
        and a_columns[: len(b_columns)] == b_columns
        and (a.using, a.indexprs, a.indpred) == (b.using, b.indexprs, b.indpred)
        and (a_columns != b_columns or b.name > a.name or a.unique)
    )
