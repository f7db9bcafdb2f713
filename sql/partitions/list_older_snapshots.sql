-- list_older_snapshots: sessions whose snapshot may not see the rows of an ended transaction
-- since: 15
-- params: xid text
-- columns: pid int4, virtual_xid text, role text, application text, state text, age_s float8
-- locks: none
-- source: PostgreSQL manual, 28.2.3 pg_stat_activity, 54.12 pg_locks
-- A snapshot whose xmin is not above the transaction may count it as running. Autovacuum returns no
-- rows to a client. If we may not see the snapshots of other roles, every transaction of theirs
-- counts. The caller remembers the first result: sessions that begin later see the rows.
SELECT
  a.pid,
  l.virtualtransaction AS virtual_xid,
  a.usename::text AS role,
  a.application_name AS application,
  a.state,
  EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8 AS age_s
FROM pg_catalog.pg_stat_activity a
LEFT JOIN pg_catalog.pg_locks l
       ON l.pid = a.pid AND l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock'
WHERE a.pid <> pg_catalog.pg_backend_pid()
  AND (a.datname = pg_catalog.current_database() OR a.backend_type = 'walsender')
  AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
  AND (pg_catalog.age(a.backend_xmin)
         >= pg_catalog.age((%(xid)s::text)::pg_catalog.xid8::pg_catalog.xid)
       OR (a.backend_type IS NULL AND l.virtualtransaction IS NOT NULL))
UNION ALL
SELECT s.active_pid, NULL, 'replication', s.slot_name::text, 'standby', NULL
FROM pg_catalog.pg_replication_slots s
WHERE s.slot_type = 'physical'
  AND pg_catalog.age(s.xmin)
        >= pg_catalog.age((%(xid)s::text)::pg_catalog.xid8::pg_catalog.xid)
ORDER BY age_s DESC NULLS LAST
