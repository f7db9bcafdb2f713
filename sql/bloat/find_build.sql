-- find_build: progress of a session's index build, and the session that it waits for
-- since: 15
-- params: pid int4
-- columns: index_oid oid, phase text, done_fraction float8, locker_pid int4, locker text, locker_age_s float8, locker_role text, locker_query_start timestamptz
-- locks: none
-- source: PostgreSQL manual, 28.4.2 pg_stat_progress_create_index, 9.26 pg_blocking_pids
SELECT
  nullif(p.index_relid, 0) AS index_oid,
  p.phase,
  CASE WHEN p.blocks_total > 0 THEN p.blocks_done::float8 / p.blocks_total
       WHEN p.tuples_total > 0 THEN p.tuples_done::float8 / p.tuples_total END AS done_fraction,
  w.locker_pid,
  coalesce(nullif(b.application_name, ''), b.state, 'not shown to us') AS locker,
  EXTRACT(epoch FROM pg_catalog.clock_timestamp() - b.xact_start)::float8 AS locker_age_s,
  b.usename::text AS locker_role,
  b.query_start AS locker_query_start
FROM (SELECT %(pid)s::int4 AS pid) s
LEFT JOIN pg_catalog.pg_stat_progress_create_index p ON p.pid = s.pid
CROSS JOIN LATERAL (
  SELECT coalesce(nullif(p.current_locker_pid, 0)::int4,
                  (pg_catalog.pg_blocking_pids(s.pid))[1]) AS locker_pid) w
LEFT JOIN pg_catalog.pg_stat_activity b ON b.pid = w.locker_pid
