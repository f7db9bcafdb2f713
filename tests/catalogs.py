"""What the catalog says of tables and their indexes, to compare it before and after."""

from typing import Any

from tests.builders import Database

GROWN = """
UPDATE pg_catalog.pg_class SET relpages = 50, reltuples = 5000
 WHERE relkind IN ('r', 'm') AND reltuples <= 0 AND oid >= 16384
"""
"""There is no advice on empty tables, so those of a schema without rows are given some on paper."""

_CATALOG = """
SELECT 'index', c.relname, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready,
  p.inhparent::regclass::text, obj_description(c.oid, 'pg_class'), t.spcname, c.reloptions::text,
  (SELECT string_agg(a.attname || a.attstattarget::text, ',' ORDER BY a.attnum)
   FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attstattarget >= 0),
  i.indisclustered, i.indisreplident
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
LEFT JOIN pg_inherits p ON p.inhrelid = c.oid
LEFT JOIN pg_tablespace t ON t.oid = c.reltablespace
WHERE c.relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'constraint', k.conname, pg_get_constraintdef(k.oid), k.convalidated, NULL,
  k.conrelid::regclass::text, obj_description(k.oid, 'pg_constraint'), NULL, NULL, NULL,
  NULL, NULL
FROM pg_constraint k WHERE k.connamespace = 'public'::regnamespace AND k.contype <> 'n'
UNION ALL
SELECT 'column', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, NULL,
  a.attrelid::regclass::text, pg_get_expr(d.adbin, d.adrelid), NULL, NULL, NULL,
  NULL, NULL
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0
  AND NOT a.attisdropped
ORDER BY 1, 2, 6
"""


def catalog_of(database: Database) -> list[tuple[Any, ...]]:
    """Every index, constraint and column of the schema public, with what belongs to them."""
    return database.execute(_CATALOG)
