-- list_pending_events: the events of a database that some sink has not received yet, in order
-- since: 15
-- params: database text
-- columns: id int8, turn text, database text, kind text, object text, severity text, message text, value jsonb, threshold jsonb, since timestamptz, happened_at timestamptz, sink text, attempts int4, tried_at timestamptz, subject text, told_turn text, told_severity text, can_wait bool
-- locks: ACCESS SHARE on maintenance.alert_event and maintenance.delivery
-- source: sql/store/0006_alerts.sql, sql/store/0012_alert_subjects.sql,
--   sql/store/0020_alert_routes.sql
SELECT e.id, e.turn, e.database, e.kind, e.object, e.severity, e.message, e.value, e.threshold,
  e.since, e.happened_at, d.sink, d.attempts, d.tried_at, e.subject, d.turn AS told_turn,
  d.severity AS told_severity, d.can_wait
FROM maintenance.delivery AS d
JOIN maintenance.alert_event AS e ON e.id = d.event_id
WHERE d.ended_at IS NULL AND e.database = %(database)s::text
ORDER BY e.id, d.sink
