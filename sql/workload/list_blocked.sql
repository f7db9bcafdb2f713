-- list_blocked: the sessions that wait for a lock, the longest first, and those that they wait for
-- since: 15
-- params:
-- columns: pid int4, role text, database text, application text, client text, state text, transaction_s float8, blockers int4[], wait_s float8, lock text, n_waiting int8
-- locks: none
-- source: PostgreSQL manual, 9.26 pg_blocking_pids, 54.12 pg_locks
-- The locks are read only if a session waits, and the blockers of fifty sessions at most: both
-- hold up the lock manager for a moment. Waits of other roles' sessions are visible to members of
-- pg_read_all_stats; without that right, pg_locks is read for each hidden session.
WITH ungranted AS MATERIALIZED (
  SELECT l.pid, l.waitstart, l.mode, l.locktype, l.relation, l.database
  FROM pg_catalog.pg_locks l WHERE NOT l.granted
), waiting AS MATERIALIZED (
  SELECT a.pid, w.since, w.lock, pg_catalog.count(*) OVER () AS n_waiting
  FROM pg_catalog.pg_stat_activity a
  CROSS JOIN LATERAL (
    SELECT coalesce(u.waitstart, pg_catalog.clock_timestamp()) AS since,
           u.mode || ' on ' || CASE
             WHEN u.database = (SELECT d.oid FROM pg_catalog.pg_database d
                                WHERE d.datname = pg_catalog.current_database())
             THEN coalesce(u.relation::pg_catalog.regclass::text, u.locktype)
             ELSE u.locktype END AS lock
    FROM ungranted u WHERE u.pid = a.pid ORDER BY u.waitstart LIMIT 1) w
  WHERE a.wait_event_type = 'Lock' OR a.backend_type IS NULL
  ORDER BY w.since
  LIMIT 50
), blocked AS MATERIALIZED (
  SELECT w.*, ARRAY(SELECT DISTINCT b.pid FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid))
                    AS b (pid) ORDER BY 1) AS blockers
  FROM waiting w
), node AS (
  SELECT b.pid, b.blockers, b.lock, b.n_waiting,
         EXTRACT(epoch FROM pg_catalog.clock_timestamp() - b.since)::float8 AS wait_s
  FROM blocked b
  UNION ALL
  SELECT DISTINCT r.pid, '{}'::int4[], NULL::text, NULL::int8, NULL::float8
  FROM blocked b CROSS JOIN LATERAL pg_catalog.unnest(b.blockers) AS r (pid)
  WHERE NOT EXISTS (SELECT FROM blocked o WHERE o.pid = r.pid)
)
SELECT
  n.pid,
  a.usename::text AS role,
  a.datname::text AS database,
  a.application_name AS application,
  CASE WHEN a.pid IS NOT NULL THEN coalesce(a.client_addr::text, 'local') END AS client,
  a.state,
  EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8 AS transaction_s,
  n.blockers,
  n.wait_s,
  n.lock,
  n.n_waiting
FROM node n
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = n.pid
ORDER BY n.wait_s DESC NULLS FIRST, n.pid
