-- find_build: progress of a session's index build, and the session that it waits for
-- since: 15
-- params: pid int4
-- columns: index_oid oid, phase text, locker_pid int4, locker text, locker_age_s float8
-- locks: none
-- source: PostgreSQL manual, 28.4.2 pg_stat_progress_create_index, 9.26 pg_blocking_pids
SELECT
  nullif(p.index_relid, 0) AS index_oid,
  p.phase,
  w.locker_pid,
  coalesce(nullif(b.application_name, ''), b.state, 'not shown to us') AS locker,
  EXTRACT(epoch FROM pg_catalog.clock_timestamp() - b.xact_start)::float8 AS locker_age_s
FROM (SELECT %(pid)s::int4 AS pid) s
LEFT JOIN pg_catalog.pg_stat_progress_create_index p ON p.pid = s.pid
CROSS JOIN LATERAL (
  SELECT coalesce(nullif(p.current_locker_pid, 0)::int4,
                  (pg_catalog.pg_blocking_pids(s.pid))[1]) AS locker_pid) w
LEFT JOIN pg_catalog.pg_stat_activity b ON b.pid = w.locker_pid
