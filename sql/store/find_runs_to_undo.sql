-- find_runs_to_undo: the runs whose id begins with a text, newest first, and what they leave to undo
-- since: 15
-- params: database text, prefix text
-- columns: id text, command text, started_at timestamptz, n_to_undo int8, n_undone int8
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql, sql/store/0024_undo.sql
SELECT r.id::text AS id, r.command, r.started_at,
  pg_catalog.count(*) FILTER (WHERE j.undo IS NOT NULL AND j.undone_at IS NULL
    AND (j.outcome IS NULL OR j.outcome IN ('done', 'failed'))) AS n_to_undo,
  pg_catalog.count(*) FILTER (WHERE j.undone_at IS NOT NULL) AS n_undone
FROM maintenance.run AS r
LEFT JOIN maintenance.journal AS j ON j.run_id = r.id
WHERE r.database = %(database)s::text AND pg_catalog.starts_with(r.id::text, %(prefix)s::text)
GROUP BY r.id
ORDER BY r.started_at DESC
