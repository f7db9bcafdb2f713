-- add_statements: keep the counters of statements on a server
-- since: 15
-- params: taken_at timestamptz, database text, server text, statements jsonb (rows of maintenance.statement)
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.statement
-- source: sql/store/0005_bloat_and_workload.sql, sql/store/0009_replicas.sql, sql/store/0017_statement_counters.sql
INSERT INTO maintenance.statement
  (taken_at, database, server, statement, text, since, calls, total_ms, squares_ms, max_ms, n_rows,
   blocks_hit, blocks_read, read_ms, temp_blocks, wal_bytes, n_entries, is_nested)
SELECT %(taken_at)s::timestamptz, %(database)s::text, %(server)s::text, r.statement, r.text,
  r.since, r.calls, r.total_ms, r.squares_ms, r.max_ms, r.n_rows, r.blocks_hit, r.blocks_read,
  r.read_ms, r.temp_blocks, r.wal_bytes, r.n_entries, r.is_nested
FROM pg_catalog.jsonb_to_recordset(%(statements)s::jsonb) AS r (statement text, text text,
  since timestamptz, calls int8, total_ms float8, squares_ms float8, max_ms float8, n_rows int8,
  blocks_hit int8, blocks_read int8, read_ms float8, temp_blocks int8, wal_bytes int8,
  n_entries int8, is_nested boolean)
