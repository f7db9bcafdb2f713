-- add_index_usage: keep a server's usage counters, unless some of the same epoch are newer than a moment
-- since: 15
-- params: taken_at timestamptz, after timestamptz, database text, server text, system_identifier int8, timeline int4, database_reset_at timestamptz, server_reset_at timestamptz, oids oid[], scans int8[] (one of each OID)
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.index_usage
-- source: sql/store/0004_index_usage.sql
INSERT INTO maintenance.index_usage
  (taken_at, database, server, system_identifier, timeline, database_reset_at, server_reset_at,
   oids, scans)
SELECT %(taken_at)s::timestamptz, %(database)s::text, %(server)s::text,
  %(system_identifier)s::int8, %(timeline)s::int4, %(database_reset_at)s::timestamptz,
  %(server_reset_at)s::timestamptz, %(oids)s::oid[], %(scans)s::int8[]
WHERE NOT EXISTS (
  SELECT FROM maintenance.index_usage AS u
  WHERE u.database = %(database)s::text AND u.server = %(server)s::text
    AND u.taken_at > %(after)s::timestamptz AND u.taken_at <= %(taken_at)s::timestamptz
    AND (u.system_identifier, u.timeline, u.database_reset_at, u.server_reset_at)
      IS NOT DISTINCT FROM (%(system_identifier)s::int8, %(timeline)s::int4,
        %(database_reset_at)s::timestamptz, %(server_reset_at)s::timestamptz))
