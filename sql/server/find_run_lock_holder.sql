-- find_run_lock_holder: the session that holds the run lock, and its state
-- since: 15
-- params: key int8
-- columns: pid int4, role text, application text, since timestamptz, client text, state text, idle_s float8
-- locks: none
-- source: PostgreSQL manual, 54.12 pg_locks (a bigint key shows as classid, objid, objsubid 1)
SELECT
  l.pid,
  a.usename::text AS role,
  a.application_name AS application,
  a.backend_start AS since,
  coalesce(pg_catalog.host(a.client_addr) || ':' || a.client_port::text, 'the local socket') AS client,
  a.state,
  EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - a.state_change)::float8 AS idle_s
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory'
  AND l.granted
  AND l.objsubid = 1
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                     WHERE d.datname = pg_catalog.current_database())
  AND l.classid = (%(key)s::int8 >> 32)::int8::oid
  AND l.objid = (%(key)s::int8 & 4294967295)::int8::oid
LIMIT 1
