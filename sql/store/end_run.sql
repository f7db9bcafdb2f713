-- end_run: note that a run is over, the findings that stand then, and what it could see
-- since: 15
-- params: run_id uuid, findings jsonb (rows of maintenance.finding), outcome text, error text, kinds text[], subjects text[]
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.run and maintenance.finding
-- source: sql/store/0001_runs_and_journal.sql, sql/store/0012_alert_subjects.sql
WITH stored AS (
  INSERT INTO maintenance.finding
    (run_id, kind, object, severity, message, value, threshold, data, subject)
  SELECT %(run_id)s::uuid, f.kind, f.object, f.severity, f.message, f.value, f.threshold, f.data,
    f.subject
  FROM pg_catalog.jsonb_to_recordset(%(findings)s::jsonb) AS f (kind text, object text,
    severity text, message text, value jsonb, threshold jsonb, data jsonb, subject text)
)
UPDATE maintenance.run SET
  ended_at = pg_catalog.clock_timestamp(), outcome = %(outcome)s::text, error = %(error)s::text,
  kinds = %(kinds)s::text[], subjects = %(subjects)s::text[]
WHERE id = %(run_id)s::uuid
