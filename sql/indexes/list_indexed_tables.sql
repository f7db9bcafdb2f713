-- list_indexed_tables: one row for each table or materialized view of the owner's
-- since: 14
-- params:
-- columns: oid oid, schema text, name text, kind text, pages int4, rows float4, n_writes int8
-- locks: none
-- source: PostgreSQL manual, 27.2.22 Statistics Functions
-- An update that stays in its page (HOT) writes to no index.
SELECT
  c.oid,
  n.nspname::text AS schema,
  c.relname::text AS name,
  c.relkind::text AS kind,
  c.relpages AS pages,
  c.reltuples AS rows,
  pg_catalog.pg_stat_get_tuples_inserted(c.oid)
  + pg_catalog.pg_stat_get_tuples_updated(c.oid)
  - pg_catalog.pg_stat_get_tuples_hot_updated(c.oid) AS n_writes
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
  AND NOT pg_catalog.starts_with(n.nspname::text, 'pg_')
  AND n.nspname NOT IN ('information_schema', 'maintenance')
