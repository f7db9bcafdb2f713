-- list_index_builds: when runs last built each of some indexes, and the reads of its table until then
-- since: 15
-- params: database text, objects text[], kind text
-- columns: object text, done_at timestamptz, table_reads int8
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql
SELECT DISTINCT ON (j.object) j.object, coalesce(j.ended_at, j.intended_at) AS done_at,
  (j.detail ->> 'table_reads')::int8 AS table_reads
FROM maintenance.journal AS j
JOIN maintenance.run AS r ON r.id = j.run_id
WHERE r.database = %(database)s::text AND j.object = ANY (%(objects)s::text[])
  AND j.kind = %(kind)s::text AND j.outcome = 'done'
ORDER BY j.object, coalesce(j.ended_at, j.intended_at) DESC
