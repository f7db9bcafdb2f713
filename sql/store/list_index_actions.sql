-- list_index_actions: when runs last did something of some kinds to each of some indexes
-- since: 15
-- params: database text, objects text[], kinds text[]
-- columns: object text, done_at timestamptz
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql
SELECT j.object, pg_catalog.max(coalesce(j.ended_at, j.intended_at)) AS done_at
FROM maintenance.journal AS j
JOIN maintenance.run AS r ON r.id = j.run_id
WHERE r.database = %(database)s::text AND j.object = ANY (%(objects)s::text[])
  AND j.kind = ANY (%(kinds)s::text[]) AND j.outcome = 'done'
GROUP BY j.object
