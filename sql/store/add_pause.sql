-- add_pause: begin a pause of a database, in place of an active one
-- since: 15
-- params: database text, until timestamptz, reason text, paused_by text
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.pause
-- source: sql/store/0021_approvals_and_pauses.sql
WITH ended AS (
  UPDATE maintenance.pause
  SET ended_at = pg_catalog.clock_timestamp(), ended_by = %(paused_by)s::text
  WHERE database = %(database)s::text AND ended_at IS NULL
)
INSERT INTO maintenance.pause (database, until, reason, paused_by)
VALUES (%(database)s::text, %(until)s::timestamptz, %(reason)s::text, %(paused_by)s::text)
