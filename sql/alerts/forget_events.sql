-- forget_events: delete old events of a database that are pending for no sink
-- since: 15
-- params: database text, before timestamptz
-- columns: id int8
-- locks: ROW EXCLUSIVE on maintenance.alert_event and maintenance.delivery
-- source: sql/store/0006_alerts.sql
DELETE FROM maintenance.alert_event AS e
WHERE e.database = %(database)s::text AND e.happened_at < %(before)s::timestamptz
  AND NOT EXISTS (
    SELECT FROM maintenance.delivery AS d WHERE d.event_id = e.id AND d.ended_at IS NULL)
RETURNING e.id
