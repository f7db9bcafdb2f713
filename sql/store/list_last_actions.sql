-- list_last_actions: what runs last did to each of some objects
-- since: 15
-- params: database text, objects text[]
-- columns: object text, run_id text, table_name text, kind text, outcome text, at timestamptz
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql
SELECT DISTINCT ON (j.object) j.object, j.run_id::text AS run_id, j.table_name, j.kind, j.outcome,
  coalesce(j.ended_at, j.intended_at) AS at
FROM maintenance.journal AS j
JOIN maintenance.run AS r ON r.id = j.run_id
WHERE r.database = %(database)s::text AND j.object = ANY (%(objects)s::text[])
  AND (j.outcome IS NULL OR j.outcome IN ('done', 'failed'))
ORDER BY j.object, j.intended_at DESC, j.place DESC
