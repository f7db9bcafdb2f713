-- list_databases: the databases of which a store has runs, and what can be undone of them
-- since: 15
-- params:
-- columns: database text, n_runs int8, first_at timestamptz, last_at timestamptz, n_to_undo int8
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql, sql/store/0024_undo.sql
SELECT r.database, pg_catalog.count(*) AS n_runs, pg_catalog.min(r.started_at) AS first_at,
  pg_catalog.max(r.started_at) AS last_at,
  pg_catalog.count(*) FILTER (WHERE EXISTS (
    SELECT FROM maintenance.journal AS j
    WHERE j.run_id = r.id AND j.undo IS NOT NULL AND j.undone_at IS NULL
      AND (j.outcome IS NULL OR j.outcome IN ('done', 'failed')))) AS n_to_undo
FROM maintenance.run AS r
GROUP BY r.database
ORDER BY r.database
