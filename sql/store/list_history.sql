-- list_history: one row for each history table of the store, which are partitioned by month
-- since: 15
-- params:
-- columns: name text
-- locks: none
-- source: docs/decisions/0016-history-and-statistics.md
SELECT c.relname::text AS name
FROM pg_catalog.pg_partitioned_table p
JOIN pg_catalog.pg_class c ON c.oid = p.partrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
WHERE n.nspname = 'maintenance'
  AND p.partstrat = 'r'
  AND p.partnatts = 1
  AND a.attname = 'taken_at'
ORDER BY 1
