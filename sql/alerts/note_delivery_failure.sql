-- note_delivery_failure: note that a sink could not be reached; its events go on waiting
-- since: 15
-- params: sink text, ids int8[], error text
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.delivery
-- source: sql/store/0006_alerts.sql
UPDATE maintenance.delivery SET
  attempts = attempts + 1, error = %(error)s::text, tried_at = pg_catalog.clock_timestamp()
WHERE sink = %(sink)s::text AND event_id = ANY (%(ids)s::int8[])
