-- list_usage: one row for each user index, with its use on one server since the counters began
-- since: 15
-- params:
-- columns: oid oid, scans int8, last_scan_at timestamptz, reset_at timestamptz
-- locks: none
-- source: PostgreSQL manual, 27.2.17 pg_stat_all_indexes
SELECT
  c.oid,
  pg_catalog.pg_stat_get_numscans(c.oid) AS scans,
  NULL::timestamptz AS last_scan_at,
  NULL::timestamptz AS reset_at
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'i' AND c.relpersistence <> 't'
  AND NOT pg_catalog.starts_with(n.nspname::text, 'pg_')
  AND n.nspname NOT IN ('information_schema', 'maintenance')
