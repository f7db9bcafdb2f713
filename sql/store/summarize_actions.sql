-- summarize_actions: the actions of runs on a database since a moment, by kind and outcome
-- since: 15
-- params: database text, since timestamptz
-- columns: kind text, outcome text, n int8, seconds float8
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql
SELECT j.kind, coalesce(j.outcome, 'not known') AS outcome, pg_catalog.count(*) AS n,
  coalesce(pg_catalog.sum(j.duration_ms), 0) / 1000 AS seconds
FROM maintenance.run AS r
JOIN maintenance.journal AS j ON j.run_id = r.id
WHERE r.database = %(database)s::text AND r.started_at >= %(since)s::timestamptz
  -- without the store's own upkeep
  AND NOT pg_catalog.starts_with(coalesce(j.table_name, j.object), 'maintenance.')
GROUP BY 1, 2
ORDER BY 1, 2
