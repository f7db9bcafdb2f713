-- add_missing_events: add events of the spool, in order, that the store does not have yet
-- since: 15
-- params: events jsonb (rows of maintenance.alert_event with a place instead of an id)
-- columns: id int8, place int8
-- locks: ROW EXCLUSIVE on maintenance.alert_event
-- source: sql/store/0006_alerts.sql, sql/store/0012_alert_subjects.sql
WITH given AS (
  SELECT g.*, (
    SELECT min(k.id) FROM maintenance.alert_event AS k
    WHERE k.database = g.database AND k.kind = g.kind AND k.object = g.object
      AND k.turn = g.turn AND k.happened_at = g.happened_at) AS known_id
  FROM pg_catalog.jsonb_to_recordset(%(events)s::jsonb) AS g (database text, kind text,
    object text, turn text, severity text, message text, value jsonb, threshold jsonb,
    since timestamptz, happened_at timestamptz, subject text, place int8)
), added AS (
  INSERT INTO maintenance.alert_event
    (database, kind, object, turn, severity, message, value, threshold, since, happened_at,
     subject)
  SELECT g.database, g.kind, g.object, g.turn, g.severity, g.message, g.value, g.threshold,
    g.since, g.happened_at, g.subject
  FROM given AS g WHERE g.known_id IS NULL
  ORDER BY g.place
  RETURNING id, database, kind, object, turn, happened_at
)
SELECT coalesce(g.known_id, a.id) AS id, g.place
FROM given AS g
LEFT JOIN added AS a ON a.database = g.database AND a.kind = g.kind AND a.object = g.object
  AND a.turn = g.turn AND a.happened_at = g.happened_at
ORDER BY g.place
