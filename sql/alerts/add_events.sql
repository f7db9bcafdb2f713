-- add_events: add events in order, each pending for the sinks of its routes
-- since: 15
-- params: events jsonb (rows of maintenance.alert_event without an id, each with routes: rows of maintenance.delivery)
-- columns: event_id int8, sink text
-- locks: ROW EXCLUSIVE on maintenance.alert_event and maintenance.delivery
-- source: sql/store/0006_alerts.sql, sql/store/0012_alert_subjects.sql,
--   sql/store/0020_alert_routes.sql
WITH given AS (
  SELECT e.*
  FROM ROWS FROM (pg_catalog.jsonb_to_recordset(%(events)s::jsonb) AS (database text, kind text,
    object text, turn text, severity text, message text, value jsonb, threshold jsonb,
    since timestamptz, happened_at timestamptz, subject text, routes jsonb)) WITH ORDINALITY AS e
      (database, kind, object, turn, severity, message, value, threshold, since, happened_at,
       subject, routes, place)
), added AS (
  INSERT INTO maintenance.alert_event
    (database, kind, object, turn, severity, message, value, threshold, since, happened_at,
     subject)
  SELECT g.database, g.kind, g.object, g.turn, g.severity, g.message, g.value, g.threshold,
    g.since, g.happened_at, g.subject
  FROM given AS g
  ORDER BY g.place
  RETURNING id
), numbered AS (
  SELECT a.id, pg_catalog.row_number() OVER (ORDER BY a.id) AS place FROM added AS a
)
INSERT INTO maintenance.delivery (event_id, sink, turn, severity, can_wait)
SELECT n.id, r.sink, r.turn, r.severity, r.can_wait
FROM numbered AS n
JOIN given AS g ON g.place = n.place
CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(g.routes) AS r (sink text, turn text,
  severity text, can_wait boolean)
RETURNING event_id, sink
