-- list_past_actions: the actions of runs on a database in a span of time, newest first
-- since: 15
-- params: database text, since timestamptz, until timestamptz, object text, kinds text[], most int8
-- columns: at timestamptz, kind text, outcome text, object text, table_name text, period text, run_id text, command text, duration_ms float8, error text, detail jsonb
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql; a null object or kinds means all
SELECT coalesce(j.ended_at, j.intended_at) AS at, j.kind, j.outcome, j.object, j.table_name,
  j.period, j.run_id::text AS run_id, r.command, j.duration_ms, j.error, j.detail
FROM maintenance.run AS r
JOIN maintenance.journal AS j ON j.run_id = r.id
WHERE r.database = %(database)s::text
  AND r.started_at < %(until)s::timestamptz
  AND coalesce(r.ended_at, 'infinity') >= %(since)s::timestamptz
  AND coalesce(j.ended_at, j.intended_at) >= %(since)s::timestamptz
  AND coalesce(j.ended_at, j.intended_at) < %(until)s::timestamptz
  AND (%(object)s::text IS NULL OR %(object)s::text IN (j.object, j.table_name))
  AND (%(kinds)s::text[] IS NULL OR j.kind = ANY (%(kinds)s::text[]))
  -- without the store's own upkeep
  AND NOT pg_catalog.starts_with(coalesce(j.table_name, j.object), 'maintenance.')
ORDER BY at DESC, j.place DESC, j.action_id
LIMIT %(most)s::int8
