-- replace_alerts: replace the alerts of a database
-- since: 15
-- params: database text, alerts jsonb (rows of maintenance.alert)
-- columns: kind text, object text
-- locks: ROW EXCLUSIVE on maintenance.alert
-- source: sql/store/0006_alerts.sql, sql/store/0012_alert_subjects.sql,
--   sql/store/0018_alert_sightings.sql, sql/store/0020_alert_routes.sql
WITH given AS (
  SELECT * FROM pg_catalog.jsonb_populate_recordset(NULL::maintenance.alert, %(alerts)s::jsonb)
), gone AS (
  DELETE FROM maintenance.alert AS a
  WHERE a.database = %(database)s::text
    AND NOT EXISTS (SELECT FROM given AS g WHERE g.kind = a.kind AND g.object = a.object)
)
INSERT INTO maintenance.alert AS a SELECT * FROM given
ON CONFLICT (database, kind, object) DO UPDATE SET
  severity = excluded.severity, message = excluded.message, value = excluded.value,
  threshold = excluded.threshold, since = excluded.since, notified_at = excluded.notified_at,
  told = excluded.told, subject = excluded.subject, severity_since = excluded.severity_since,
  escalated_at = excluded.escalated_at, notified_sinks = excluded.notified_sinks,
  seen_at = excluded.seen_at
WHERE (a.severity, a.message, a.value, a.threshold, a.since, a.notified_at, a.told, a.subject,
    a.severity_since, a.escalated_at, a.notified_sinks, a.seen_at)
  IS DISTINCT FROM (excluded.severity, excluded.message, excluded.value, excluded.threshold,
    excluded.since, excluded.notified_at, excluded.told, excluded.subject,
    excluded.severity_since, excluded.escalated_at, excluded.notified_sinks, excluded.seen_at)
RETURNING a.kind, a.object
