-- list_actions_at_work: what runs on a database changed in the last seconds, or have not ended
-- since: 15
-- params: database text, seconds float8, longest interval
-- columns: object text, table_name text, is_open bool
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql
-- A killed run never ends; only the run lock tells whether an open run is at work.
SELECT DISTINCT j.object, j.table_name, r.ended_at IS NULL AS is_open
FROM maintenance.run AS r
JOIN maintenance.journal AS j ON j.run_id = r.id
WHERE r.database = %(database)s::text
  AND r.started_at > pg_catalog.clock_timestamp() - %(longest)s::interval
  AND coalesce(r.ended_at > pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => %(seconds)s::float8), true)
