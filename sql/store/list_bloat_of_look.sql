-- list_bloat_of_look: how large and how empty relations were at one look, the emptiest first
-- since: 15
-- params: database text, taken_at timestamptz
-- columns: object text, table_name text, kind text, size_bytes int8, fraction float8, method text
-- locks: ACCESS SHARE on maintenance.bloat
-- source: sql/store/0005_bloat_and_workload.sql
SELECT b.object, b.table_name, b.kind, b.size_bytes, b.fraction, b.method
FROM maintenance.bloat AS b
WHERE b.database = %(database)s::text AND b.taken_at = %(taken_at)s::timestamptz
ORDER BY b.fraction * b.size_bytes DESC NULLS LAST, b.object
