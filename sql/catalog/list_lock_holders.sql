-- list_lock_holders: sessions that hold a lock on one of the given relations, oldest transaction first
-- since: 14
-- params: relations text[] (quoted, qualified names)
-- columns: pid int4, role text, application text, state text, age_s float8, relation text, mode text
-- locks: none
-- source: PostgreSQL manual, 54.12 pg_locks
SELECT
  l.pid,
  a.usename::text AS role,
  a.application_name AS application,
  a.state,
  EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8 AS age_s,
  c.oid::pg_catalog.regclass::text AS relation,
  l.mode
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_class c ON c.oid = l.relation
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.granted
  AND l.locktype = 'relation'
  AND l.pid <> pg_catalog.pg_backend_pid()
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                     WHERE d.datname = pg_catalog.current_database())
  AND l.relation IN (SELECT pg_catalog.to_regclass(r)
                       FROM pg_catalog.unnest(%(relations)s::text[]) AS r)
ORDER BY age_s DESC NULLS LAST
LIMIT 5
