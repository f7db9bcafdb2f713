-- add_missing_events: add events of the spool, in order, that the store does not have yet
-- since: 15
-- params: database text, events jsonb (rows of maintenance.alert_event with a place instead of an id)
-- columns: id int8, place int8
-- locks: ROW EXCLUSIVE on maintenance.alert_event
-- source: sql/store/0006_alerts.sql, sql/store/0012_alert_subjects.sql
WITH given AS MATERIALIZED (
  SELECT * FROM pg_catalog.jsonb_to_recordset(%(events)s::jsonb) AS g (database text, kind text,
    object text, turn text, severity text, message text, value jsonb, threshold jsonb,
    since timestamptz, happened_at timestamptz, subject text, place int8)
), known AS MATERIALIZED (
  SELECT pg_catalog.min(e.id) AS id, e.kind, e.object, e.turn, e.happened_at
  FROM maintenance.alert_event AS e
  WHERE e.database = %(database)s::text
    AND e.happened_at IN (SELECT g.happened_at FROM given AS g)
  GROUP BY e.kind, e.object, e.turn, e.happened_at
), added AS (
  INSERT INTO maintenance.alert_event
    (database, kind, object, turn, severity, message, value, threshold, since, happened_at,
     subject)
  SELECT g.database, g.kind, g.object, g.turn, g.severity, g.message, g.value, g.threshold,
    g.since, g.happened_at, g.subject
  FROM given AS g
  LEFT JOIN known AS k USING (kind, object, turn, happened_at)
  WHERE k.id IS NULL
  ORDER BY g.place
  RETURNING id, kind, object, turn, happened_at
), present AS MATERIALIZED (
  SELECT k.id, k.kind, k.object, k.turn, k.happened_at FROM known AS k
  UNION ALL SELECT a.id, a.kind, a.object, a.turn, a.happened_at FROM added AS a
)
SELECT p.id, g.place
FROM given AS g JOIN present AS p USING (kind, object, turn, happened_at)
ORDER BY g.place
