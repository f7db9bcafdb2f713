-- acknowledge_alert: acknowledge an alert until a moment
-- since: 15
-- params: database text, kind text, object text, until timestamptz (NULL takes it back)
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.alert
-- source: sql/store/0006_alerts.sql
UPDATE maintenance.alert SET acknowledged_until = %(until)s::timestamptz
WHERE database = %(database)s::text AND kind = %(kind)s::text AND object = %(object)s::text
