-- list_heaviest_statements: the statements that took the most time up to the newest look, since the one before
-- since: 15
-- params: database text, most int8
-- columns: server text, statement text, text text, calls int8, total_ms float8, mean_ms float8, blocks_read int8
-- locks: ACCESS SHARE on maintenance.statement
-- source: sql/store/0009_replicas.sql
SELECT q.server, q.statement, q.text, q.calls, q.total_ms, q.mean_ms, q.blocks_read
FROM maintenance.query_performance_monitor AS q
WHERE q.database = %(database)s::text AND q.calls > 0
  AND q.taken_at = (
    SELECT pg_catalog.max(s.taken_at) FROM maintenance.statement AS s
    WHERE s.database = %(database)s::text)
ORDER BY q.total_ms DESC, q.server, q.statement
LIMIT %(most)s::int8
