-- list_unprocessed_runs: ended runs on a database whose findings have not been processed, oldest first
-- since: 15
-- params: database text
-- columns: id uuid, started_at timestamptz, ended_at timestamptz, kinds text[], findings jsonb, subjects text[], done text[]
-- locks: ACCESS SHARE on maintenance.run, maintenance.finding and maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql, sql/store/0006_alerts.sql,
--   sql/store/0012_alert_subjects.sql
SELECT r.id, r.started_at, r.ended_at, r.kinds,
  (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(f)), '[]')
   FROM maintenance.finding AS f WHERE f.run_id = r.id) AS findings, r.subjects,
  (SELECT coalesce(pg_catalog.array_agg(j.object), '{}')
   FROM maintenance.journal AS j WHERE j.run_id = r.id AND j.outcome = 'done') AS done
FROM maintenance.run AS r
WHERE r.database = %(database)s::text AND r.ended_at IS NOT NULL AND r.processed_at IS NULL
  AND r.kinds IS NOT NULL
ORDER BY r.ended_at, r.id
