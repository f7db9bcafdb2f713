-- list_resolutions: when alerts of a database that are not open were last resolved
-- since: 15
-- params: database text
-- columns: kind text, object text, resolved_at timestamptz
-- locks: ACCESS SHARE on maintenance.alert_event and maintenance.alert
-- source: sql/store/0006_alerts.sql
SELECT e.kind, e.object, pg_catalog.max(e.happened_at) AS resolved_at
FROM maintenance.alert_event AS e
WHERE e.database = %(database)s::text AND e.turn = 'resolved' AND NOT EXISTS (
  SELECT FROM maintenance.alert AS a
  WHERE a.database = e.database AND a.kind = e.kind AND a.object = e.object)
GROUP BY e.kind, e.object
