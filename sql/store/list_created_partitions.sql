-- list_created_partitions: which of some partitions were created by runs, and for which period
-- since: 15
-- params: database text, objects text[]
-- columns: object text, period text
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql
SELECT DISTINCT j.object, j.period
FROM maintenance.journal AS j
JOIN maintenance.run AS r ON r.id = j.run_id
WHERE r.database = %(database)s::text AND j.object = ANY (%(objects)s::text[])
  AND j.outcome = 'done' AND j.kind = 'create_partition'
