-- list_recent_runs: the newest runs on a database, and what their own statements cost
-- since: 15
-- params: database text, most int8
-- columns: id uuid, command text, started_at timestamptz, ended_at timestamptz, outcome text, error text, n_actions int8, n_failed int8, n_errors int8, own_seconds float8, own_rows int8
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal, maintenance.finding, maintenance.cost
-- source: sql/store/0001_runs_and_journal.sql, sql/store/0003_statistics_and_cost.sql
SELECT r.id, r.command, r.started_at, r.ended_at, r.outcome, r.error,
  pg_catalog.count(j.action_id) AS n_actions,
  pg_catalog.count(*) FILTER (WHERE j.outcome = 'failed') AS n_failed,
  (SELECT pg_catalog.count(*) FROM maintenance.finding AS f
   WHERE f.run_id = r.id AND f.severity = 'error') AS n_errors,
  (SELECT pg_catalog.sum(c.seconds) FROM maintenance.cost AS c
   WHERE c.run_id = r.id) AS own_seconds,
  (SELECT pg_catalog.sum(c.n_rows)::int8 FROM maintenance.cost AS c
   WHERE c.run_id = r.id) AS own_rows
FROM maintenance.run AS r
-- without the store's own upkeep, whose failures are findings
LEFT JOIN maintenance.journal AS j ON j.run_id = r.id
  AND NOT pg_catalog.starts_with(coalesce(j.table_name, j.object), 'maintenance.')
WHERE r.database = %(database)s::text
GROUP BY r.id
ORDER BY r.started_at DESC
LIMIT %(most)s::int8
