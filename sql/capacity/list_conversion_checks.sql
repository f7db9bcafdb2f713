-- list_conversion_checks: CHECKs of unfinished conversions, which refuse rows from a period on
-- since: 15
-- params:
-- columns: schema text, name text, check_name text
-- locks: none
-- source: PostgreSQL manual, 53.13 pg_constraint
-- Of any table, whether a policy names it or not: it may have been renamed, or left out since.
SELECT
  n.nspname::text AS schema,
  c.relname::text AS name,
  k.conname::text AS check_name
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'c' AND k.coninhcount = 0 AND c.relkind IN ('r', 'p')
  AND pg_catalog.starts_with(k.conname::text, 'maintenance_convert_until_')
ORDER BY 1, 2, 3
