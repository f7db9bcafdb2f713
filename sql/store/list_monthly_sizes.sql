-- list_monthly_sizes: the database's last known size in each month, oldest first
-- since: 15
-- params: database text
-- columns: month text, size_bytes int8
-- locks: ACCESS SHARE on maintenance.workload
-- source: sql/store/0005_bloat_and_workload.sql
SELECT DISTINCT ON (1)
  pg_catalog.to_char(w.taken_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month, w.size_bytes
FROM maintenance.workload AS w
WHERE w.database = %(database)s::text AND w.size_bytes IS NOT NULL
ORDER BY 1, w.taken_at DESC
