-- end_pause: end the pause of a database
-- since: 15
-- params: database text, ended_by text
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.pause
-- source: sql/store/0021_approvals_and_pauses.sql
UPDATE maintenance.pause
SET ended_at = pg_catalog.clock_timestamp(), ended_by = %(ended_by)s::text
WHERE database = %(database)s::text AND ended_at IS NULL
