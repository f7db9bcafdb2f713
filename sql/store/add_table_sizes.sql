-- add_table_sizes: keep the sizes of tables
-- since: 15
-- params: taken_at timestamptz, database text, sizes jsonb (object, n_partitions, size_bytes, n_rows of each)
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.table_size
-- source: sql/store/0005_bloat_and_workload.sql
INSERT INTO maintenance.table_size
  (taken_at, database, object, n_partitions, size_bytes, n_rows)
SELECT %(taken_at)s::timestamptz, %(database)s::text, r.object, r.n_partitions, r.size_bytes,
  r.n_rows
FROM pg_catalog.jsonb_to_recordset(%(sizes)s::jsonb)
  AS r (object text, n_partitions int4, size_bytes int8, n_rows float8)
