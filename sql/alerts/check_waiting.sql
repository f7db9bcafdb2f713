-- check_waiting: whether a finished run on a database is unprocessed, an event has yet to reach one of its sinks, or nothing can be noted because this is a standby
-- since: 15
-- params: database text, sinks text[]
-- columns: waits bool
-- locks: ACCESS SHARE on maintenance.run, maintenance.alert_event and maintenance.delivery
-- source: sql/store/0001_runs_and_journal.sql, sql/store/0006_alerts.sql
SELECT pg_catalog.pg_is_in_recovery() OR EXISTS (
    SELECT FROM maintenance.run AS r
    WHERE r.database = %(database)s::text AND r.ended_at IS NOT NULL AND r.processed_at IS NULL
      AND r.kinds IS NOT NULL
  ) OR EXISTS (
    SELECT FROM maintenance.delivery AS d
    JOIN maintenance.alert_event AS e ON e.id = d.event_id
    WHERE d.ended_at IS NULL AND e.database = %(database)s::text
      AND d.sink = ANY (%(sinks)s::text[])
  ) AS waits
