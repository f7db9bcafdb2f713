-- list_unfinished_actions: the newest action on each table that a run since a moment did not complete
-- since: 15
-- params: database text, since timestamptz, tables text[]
-- columns: run_id text, table_name text, kind text, outcome text, at timestamptz
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql
SELECT DISTINCT ON (j.table_name) j.run_id::text AS run_id, j.table_name, j.kind, j.outcome,
  coalesce(j.ended_at, j.intended_at) AS at
FROM maintenance.run AS r
JOIN maintenance.journal AS j ON j.run_id = r.id
WHERE r.database = %(database)s::text AND r.started_at > %(since)s::timestamptz
  AND r.outcome IS DISTINCT FROM 'done' AND j.table_name = ANY (%(tables)s::text[])
  AND (j.outcome IS NULL OR j.outcome = 'failed')
ORDER BY j.table_name, j.intended_at DESC, j.place DESC
