-- list_statements: the counters of a server's statements between two moments
-- since: 15
-- params: database text, server text, since timestamptz, until timestamptz
-- columns: taken_at timestamptz, statement text, text text, since timestamptz, calls int8, total_ms float8, squares_ms float8, max_ms float8, n_rows int8, blocks_hit int8, blocks_read int8, read_ms float8, temp_blocks int8, wal_bytes int8, n_entries int8, is_nested bool
-- locks: ACCESS SHARE on maintenance.statement
-- source: sql/store/0005_bloat_and_workload.sql, sql/store/0009_replicas.sql, sql/store/0017_statement_counters.sql
SELECT s.taken_at, s.statement, s.text, s.since, s.calls, s.total_ms, s.squares_ms, s.max_ms,
  s.n_rows, s.blocks_hit, s.blocks_read, s.read_ms, s.temp_blocks, s.wal_bytes, s.n_entries,
  s.is_nested
FROM maintenance.statement AS s
WHERE s.database = %(database)s::text AND s.server = %(server)s::text
  AND s.taken_at >= %(since)s::timestamptz AND s.taken_at < %(until)s::timestamptz
