-- add_bloat: keep how large and how empty relations are
-- since: 15
-- params: taken_at timestamptz, database text, relations jsonb (object, table_name, kind, size_bytes, fraction, method of each)
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.bloat
-- source: sql/store/0005_bloat_and_workload.sql
INSERT INTO maintenance.bloat
  (taken_at, database, object, table_name, kind, size_bytes, fraction, method)
SELECT %(taken_at)s::timestamptz, %(database)s::text, r.object, r.table_name, r.kind,
  r.size_bytes, r.fraction, r.method
FROM pg_catalog.jsonb_to_recordset(%(relations)s::jsonb) AS r (object text, table_name text,
  kind text, size_bytes int8, fraction float8, method text)
