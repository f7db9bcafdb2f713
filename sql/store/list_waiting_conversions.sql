-- list_waiting_conversions: the conversions of tables whose newest runs waited for a lock in vain
-- since: 15
-- params: database text, tables text[]
-- columns: table_name text, since timestamptz, at timestamptz, n_runs int8, blocked_by jsonb, error text
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql, sql/store/0024_undo.sql
-- A run that was killed says nothing; one that got further, or failed otherwise, ends the wait.
WITH attempt AS (
  SELECT j.object, coalesce(j.ended_at, j.intended_at) AS at, j.error, j.detail -> 'blocked_by' AS blocked_by,
    j.outcome = 'failed' AND j.detail ? 'blocked_by' AS is_blocked
  FROM maintenance.run AS r
  JOIN maintenance.journal AS j ON j.run_id = r.id
  WHERE r.database = %(database)s::text AND j.kind = 'convert_table'
    AND j.object = ANY (%(tables)s::text[]) AND j.outcome IN ('done', 'failed') AND j.undone_by IS NULL
)
SELECT a.object AS table_name, pg_catalog.min(a.at) AS since, pg_catalog.max(a.at) AS at,
  pg_catalog.count(*) AS n_runs,
  (pg_catalog.array_agg(a.blocked_by ORDER BY a.at DESC))[1] AS blocked_by,
  (pg_catalog.array_agg(a.error ORDER BY a.at DESC))[1] AS error
FROM attempt AS a
WHERE a.is_blocked AND a.at > coalesce((
  SELECT pg_catalog.max(o.at) FROM attempt AS o WHERE o.object = a.object AND NOT o.is_blocked), '-infinity')
GROUP BY a.object
