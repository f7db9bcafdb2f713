-- list_indexed_tables: one row for each user table or materialized view
-- since: 15
-- params:
-- columns: oid oid, schema text, name text, kind text, pages int4, rows float4, n_writes int8, n_live int8, n_deleted int8, n_updated int8, parent oid, is_readable bool, is_secured bool
-- locks: none
-- source: PostgreSQL manual, 27.2.22 Statistics Functions, 54.26 pg_stats
-- A HOT update writes to no index. Without SELECT, and with row-level security, pg_stats shows
-- nothing. A role that may read all tables is not asked about each.
SELECT
  c.oid,
  n.nspname::text AS schema,
  c.relname::text AS name,
  c.relkind::text AS kind,
  c.relpages AS pages,
  c.reltuples AS rows,
  pg_catalog.pg_stat_get_tuples_inserted(c.oid)
  + pg_catalog.pg_stat_get_tuples_updated(c.oid)
  - pg_catalog.pg_stat_get_tuples_hot_updated(c.oid) AS n_writes,
  pg_catalog.pg_stat_get_live_tuples(c.oid) AS n_live,
  pg_catalog.pg_stat_get_tuples_deleted(c.oid) AS n_deleted,
  pg_catalog.pg_stat_get_tuples_updated(c.oid) AS n_updated,
  h.inhparent AS parent,
  (SELECT pg_catalog.pg_has_role('pg_read_all_data', 'USAGE'))
    OR pg_catalog.has_table_privilege(c.oid, 'SELECT') AS is_readable,
  c.relrowsecurity AND pg_catalog.row_security_active(c.oid) AS is_secured
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_inherits h ON h.inhrelid = c.oid AND c.relispartition
WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
  AND NOT pg_catalog.starts_with(n.nspname::text, 'pg_')
  AND n.nspname NOT IN ('information_schema', 'maintenance')
