-- count_past_actions: the number of actions of runs on a database in a span of time, by kind and outcome
-- since: 15
-- params: database text, since timestamptz, until timestamptz, object text, kinds text[]
-- columns: kind text, outcome text, n int8
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql; a null object or kinds means all
SELECT j.kind, j.outcome, pg_catalog.count(*) AS n
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
GROUP BY 1, 2
ORDER BY 1, 2
