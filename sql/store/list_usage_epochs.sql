-- list_usage_epochs: since when each server's usage counters are known, by their epochs
-- since: 15
-- params: database text
-- columns: server text, first_at timestamptz, system_identifier int8, timeline int4, database_reset_at timestamptz, server_reset_at timestamptz
-- locks: ACCESS SHARE on maintenance.index_usage
-- source: sql/store/0004_index_usage.sql
SELECT u.server, pg_catalog.min(u.taken_at) AS first_at, u.system_identifier, u.timeline,
  u.database_reset_at, u.server_reset_at
FROM maintenance.index_usage AS u
WHERE u.database = %(database)s::text
GROUP BY u.server, u.system_identifier, u.timeline, u.database_reset_at, u.server_reset_at
