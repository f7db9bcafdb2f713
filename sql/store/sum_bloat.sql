-- sum_bloat: how many bytes of tables and of indexes were empty at each look of three months, oldest first
-- since: 15
-- params: database text
-- columns: taken_at timestamptz, tables_bytes float8, indexes_bytes float8
-- locks: ACCESS SHARE on maintenance.bloat
-- source: sql/store/0005_bloat_and_workload.sql
SELECT b.taken_at,
  coalesce(pg_catalog.sum(b.fraction * b.size_bytes) FILTER (WHERE b.kind <> 'index'), 0)
    AS tables_bytes,
  coalesce(pg_catalog.sum(b.fraction * b.size_bytes) FILTER (WHERE b.kind = 'index'), 0)
    AS indexes_bytes
FROM maintenance.bloat AS b
WHERE b.database = %(database)s::text
  AND b.taken_at > pg_catalog.now() - interval '3 months'
GROUP BY b.taken_at
ORDER BY b.taken_at
