-- note_outcomes: keep what came of the actions of a run
-- since: 15
-- params: run_id uuid, outcomes jsonb (action_id, outcome, attempts, duration_ms, error, detail, ended_at of each)
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql
UPDATE maintenance.journal AS j SET
  outcome = r.outcome, attempts = r.attempts, duration_ms = r.duration_ms, error = r.error,
  detail = CASE WHEN r.detail IS NULL THEN j.detail ELSE coalesce(j.detail, '{}') || r.detail END, ended_at = pg_catalog.to_timestamp(r.ended_at)
FROM pg_catalog.jsonb_to_recordset(%(outcomes)s::jsonb) AS r (action_id text, outcome text,
  attempts int4, duration_ms float8, error text, detail jsonb, ended_at float8)
WHERE j.run_id = %(run_id)s::uuid AND j.action_id = r.action_id
