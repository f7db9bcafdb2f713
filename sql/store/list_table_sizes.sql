-- list_table_sizes: the sizes of tables between two moments, oldest first
-- since: 15
-- params: database text, since timestamptz, until timestamptz
-- columns: object text, taken_at timestamptz, size_bytes int8
-- locks: ACCESS SHARE on maintenance.table_size
-- source: sql/store/0005_bloat_and_workload.sql
SELECT t.object, t.taken_at, t.size_bytes
FROM maintenance.table_size AS t
WHERE t.database = %(database)s::text AND t.taken_at >= %(since)s::timestamptz
  AND t.taken_at < %(until)s::timestamptz
ORDER BY t.taken_at
