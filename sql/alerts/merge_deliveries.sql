-- merge_deliveries: note what the spool has delivered, and what waits there
-- since: 15
-- params: deliveries jsonb (rows of maintenance.delivery)
-- columns: event_id int8, sink text
-- locks: ROW EXCLUSIVE on maintenance.delivery
-- source: sql/store/0006_alerts.sql, sql/store/0020_alert_routes.sql
INSERT INTO maintenance.delivery AS d
  (event_id, sink, attempts, tried_at, ended_at, error, turn, severity, can_wait)
SELECT g.event_id, g.sink, g.attempts, g.tried_at, g.ended_at, g.error, g.turn, g.severity,
  g.can_wait
FROM pg_catalog.jsonb_to_recordset(%(deliveries)s::jsonb) AS g (event_id int8, sink text,
  attempts int4, tried_at timestamptz, ended_at timestamptz, error text, turn text, severity text,
  can_wait boolean)
ON CONFLICT (event_id, sink) DO UPDATE SET
  attempts = greatest(d.attempts, excluded.attempts), tried_at = excluded.tried_at,
  ended_at = excluded.ended_at, error = excluded.error
WHERE d.ended_at IS NULL
RETURNING d.event_id, d.sink
