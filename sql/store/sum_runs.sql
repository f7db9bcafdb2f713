-- sum_runs: the number of runs on a database since a moment, and the end of the last one
-- since: 15
-- params: database text, since timestamptz
-- columns: n_runs int8, n_failed int8, n_open int8, last_ended_at timestamptz, last_failed bool, last_done_at timestamptz, unprocessed_since timestamptz, own_seconds float8
-- locks: ACCESS SHARE on maintenance.run, maintenance.cost
-- source: sql/store/0001_runs_and_journal.sql
SELECT
  pg_catalog.count(*) FILTER (WHERE r.started_at >= %(since)s::timestamptz) AS n_runs,
  pg_catalog.count(*) FILTER (
    WHERE r.started_at >= %(since)s::timestamptz AND r.outcome = 'failed') AS n_failed,
  pg_catalog.count(*) FILTER (
    WHERE r.started_at >= %(since)s::timestamptz AND r.ended_at IS NULL) AS n_open,
  pg_catalog.max(r.ended_at) FILTER (WHERE r.command <> 'restore') AS last_ended_at,
  (pg_catalog.array_agg(r.outcome = 'failed' ORDER BY r.ended_at DESC)
    FILTER (WHERE r.ended_at IS NOT NULL AND r.command <> 'restore'))[1] AS last_failed,
  pg_catalog.max(r.ended_at) FILTER (
    WHERE r.command = 'apply' AND r.outcome = 'done') AS last_done_at,
  pg_catalog.min(r.ended_at) FILTER (
    WHERE r.processed_at IS NULL AND r.kinds IS NOT NULL) AS unprocessed_since,
  (SELECT coalesce(pg_catalog.sum(c.seconds), 0) FROM maintenance.cost AS c
   WHERE c.database = %(database)s::text AND c.taken_at >= %(since)s::timestamptz) AS own_seconds
FROM maintenance.run AS r
WHERE r.database = %(database)s::text
