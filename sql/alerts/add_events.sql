-- add_events: add events in order, each pending for every sink
-- since: 15
-- params: events jsonb (rows of maintenance.alert_event without an id), sinks text[]
-- columns: event_id int8, sink text
-- locks: ROW EXCLUSIVE on maintenance.alert_event and maintenance.delivery
-- source: sql/store/0006_alerts.sql, sql/store/0012_alert_subjects.sql
WITH added AS (
  INSERT INTO maintenance.alert_event
    (database, kind, object, turn, severity, message, value, threshold, since, happened_at,
     subject)
  SELECT e.database, e.kind, e.object, e.turn, e.severity, e.message, e.value, e.threshold,
    e.since, e.happened_at, e.subject
  FROM ROWS FROM (pg_catalog.jsonb_to_recordset(%(events)s::jsonb) AS (database text, kind text,
    object text, turn text, severity text, message text, value jsonb, threshold jsonb,
    since timestamptz, happened_at timestamptz, subject text)) WITH ORDINALITY AS e
      (database, kind, object, turn, severity, message, value, threshold, since, happened_at,
       subject, place)
  ORDER BY e.place
  RETURNING id
)
INSERT INTO maintenance.delivery (event_id, sink)
SELECT a.id, s.sink FROM added AS a CROSS JOIN pg_catalog.unnest(%(sinks)s::text[]) AS s (sink)
RETURNING event_id, sink
