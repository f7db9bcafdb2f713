-- probe_writing: write a hundred kilobytes, for a transaction that is rolled back
-- since: 15
-- params: database text
-- columns: id int8
-- locks: ROW EXCLUSIVE on maintenance.alert_event
-- source: sql/store/0006_alerts.sql
INSERT INTO maintenance.alert_event
  (database, kind, object, turn, severity, message, since, happened_at)
SELECT %(database)s::text, 'probe', n::text, 'raised', 'info', pg_catalog.repeat('x', 1000),
  pg_catalog.now(), pg_catalog.now()
FROM pg_catalog.generate_series(1, 100) AS n
RETURNING id
