-- list_alerts: the open and pending alerts of a database
-- since: 15
-- params: database text
-- columns: database text, kind text, object text, severity text, message text, value jsonb, threshold jsonb, since timestamptz, notified_at timestamptz, told text, acknowledged_until timestamptz, muted_until timestamptz, subject text, severity_since timestamptz, escalated_at timestamptz, notified_sinks text[], seen_at timestamptz
-- locks: ACCESS SHARE on maintenance.alert
-- source: sql/store/0006_alerts.sql, sql/store/0012_alert_subjects.sql,
--   sql/store/0018_alert_sightings.sql, sql/store/0020_alert_routes.sql
SELECT a.database, a.kind, a.object, a.severity, a.message, a.value, a.threshold, a.since,
  a.notified_at, a.told, a.acknowledged_until, a.muted_until, a.subject,
  a.severity_since, a.escalated_at, a.notified_sinks, a.seen_at
FROM maintenance.alert AS a
WHERE a.database = %(database)s::text
ORDER BY a.kind, a.object
