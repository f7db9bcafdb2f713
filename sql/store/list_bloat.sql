-- list_bloat: how large and how empty relations were between two moments, oldest first
-- since: 15
-- params: database text, since timestamptz, until timestamptz
-- columns: object text, taken_at timestamptz, size_bytes int8, fraction float8, method text
-- locks: ACCESS SHARE on maintenance.bloat
-- source: sql/store/0005_bloat_and_workload.sql
SELECT b.object, b.taken_at, b.size_bytes, b.fraction, b.method
FROM maintenance.bloat AS b
WHERE b.database = %(database)s::text AND b.taken_at >= %(since)s::timestamptz
  AND b.taken_at < %(until)s::timestamptz
ORDER BY b.taken_at
