-- list_usage_baselines: the newest usage counters of each server up to a moment
-- since: 15
-- params: database text, until timestamptz
-- columns: server text, taken_at timestamptz, oids oid[], scans int8[], system_identifier int8, timeline int4, database_reset_at timestamptz, server_reset_at timestamptz
-- locks: ACCESS SHARE on maintenance.index_usage
-- source: sql/store/0004_index_usage.sql
SELECT DISTINCT ON (u.server) u.server, u.taken_at, u.oids, u.scans, u.system_identifier,
  u.timeline, u.database_reset_at, u.server_reset_at
FROM maintenance.index_usage AS u
WHERE u.database = %(database)s::text AND u.taken_at <= %(until)s::timestamptz
ORDER BY u.server, u.taken_at DESC
