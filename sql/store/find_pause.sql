-- find_pause: the pause of a database, if one is active by the clock of the store
-- since: 15
-- params: database text
-- columns: since timestamptz, until timestamptz, reason text, paused_by text
-- locks: ACCESS SHARE on maintenance.pause
-- source: sql/store/0021_approvals_and_pauses.sql
SELECT p.since, p.until, p.reason, p.paused_by
FROM maintenance.pause AS p
WHERE p.database = %(database)s::text AND p.ended_at IS NULL
  AND (p.until IS NULL OR p.until > pg_catalog.clock_timestamp())
ORDER BY p.since DESC
LIMIT 1
