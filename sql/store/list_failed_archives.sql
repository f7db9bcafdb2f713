-- list_failed_archives: the partitions whose last archiving failed, and why
-- since: 15
-- params: database text, tables text[]
-- columns: object text, error text
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql
SELECT t.object, t.error
FROM (
  SELECT DISTINCT ON (j.object) j.object, j.outcome, j.error
  FROM maintenance.journal AS j
  JOIN maintenance.run AS r ON r.id = j.run_id
  WHERE r.database = %(database)s::text AND j.table_name = ANY (%(tables)s::text[])
    AND j.kind = 'archive_partition' AND j.outcome IN ('done', 'failed')
  ORDER BY j.object, j.intended_at DESC
) AS t
WHERE t.outcome = 'failed'
