-- list_statement_looks: when a server's statements were observed between two moments, newest first
-- since: 15
-- params: database text, server text, since timestamptz, until timestamptz, most int8
-- columns: taken_at timestamptz, statements_epoch text, statements_evicted int8, statements_unseen_ms float8
-- locks: ACCESS SHARE on maintenance.workload
-- source: sql/store/0005_bloat_and_workload.sql, sql/store/0009_replicas.sql, sql/store/0017_statement_counters.sql
SELECT w.taken_at, w.statements_epoch, w.statements_evicted, w.statements_unseen_ms
FROM maintenance.workload AS w
WHERE w.database = %(database)s::text AND w.server = %(server)s::text
  AND w.taken_at >= %(since)s::timestamptz AND w.taken_at < %(until)s::timestamptz
  AND w.statements_epoch IS NOT NULL
ORDER BY w.taken_at DESC
LIMIT %(most)s::int8
