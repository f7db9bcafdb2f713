-- list_statement_servers: the servers of a database whose statements were observed since a moment
-- since: 15
-- params: database text, since timestamptz
-- columns: server text
-- locks: ACCESS SHARE on maintenance.workload
-- source: sql/store/0005_bloat_and_workload.sql, sql/store/0009_replicas.sql
SELECT DISTINCT w.server
FROM maintenance.workload AS w
WHERE w.database = %(database)s::text AND w.taken_at >= %(since)s::timestamptz
  AND w.statements_epoch IS NOT NULL
ORDER BY w.server
