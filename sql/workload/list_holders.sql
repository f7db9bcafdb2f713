-- list_holders: objects that hold back VACUUM, by the oldest transaction they need
-- since: 15
-- params:
-- columns: what text, name text, pid int4, role text, application text, age int8
-- locks: none
-- source: PostgreSQL manual, 25.1.5 Preventing Transaction ID Wraparound Failures, 54.20 pg_replication_slots
-- A standby with hot_standby_feedback holds back VACUUM for its queries, by its WAL sender or its
-- slot. Sessions of other roles are visible only to members of pg_read_all_stats.
SELECT h.what, h.name, h.pid, h.role, h.application, h.age
FROM (
  SELECT
    CASE WHEN a.backend_type = 'walsender' THEN 'standby' ELSE 'session' END AS what,
    coalesce(nullif(a.application_name, ''), a.pid::text) AS name,
    a.pid,
    a.usename::text AS role,
    a.application_name AS application,
    greatest(pg_catalog.age(a.backend_xmin), pg_catalog.age(a.backend_xid))::int8 AS age
  FROM pg_catalog.pg_stat_activity a
  WHERE a.pid <> pg_catalog.pg_backend_pid()
  UNION ALL
  SELECT 'prepared transaction', x.gid, NULL, x.owner::text, NULL, pg_catalog.age(x.transaction)
  FROM pg_catalog.pg_prepared_xacts x
  UNION ALL
  SELECT 'slot', s.slot_name::text, s.active_pid, NULL, NULL,
         greatest(pg_catalog.age(s.xmin), pg_catalog.age(s.catalog_xmin))
  FROM pg_catalog.pg_replication_slots s
) h
WHERE h.age > 0
ORDER BY h.age DESC, h.what, h.name
LIMIT 10
