-- list_failures: failed runs and failed actions, newest first
-- since: 15
-- params: database text, since timestamptz, most int8
-- columns: failed_at timestamptz, what text, error text
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql
SELECT f.failed_at, f.what, f.error
FROM (
  SELECT r.ended_at AS failed_at, r.command AS what, r.error
  FROM maintenance.run AS r
  WHERE r.database = %(database)s::text AND r.started_at >= %(since)s::timestamptz
    AND r.outcome = 'failed' AND r.error IS NOT NULL
  UNION ALL
  SELECT coalesce(j.ended_at, j.intended_at), j.kind || ' ' || j.object, coalesce(j.error, '')
  FROM maintenance.run AS r
  JOIN maintenance.journal AS j ON j.run_id = r.id
  WHERE r.database = %(database)s::text AND r.started_at >= %(since)s::timestamptz
    AND j.outcome = 'failed'
) AS f
ORDER BY f.failed_at DESC, f.what
LIMIT %(most)s::int8
