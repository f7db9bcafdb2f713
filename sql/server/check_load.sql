-- check_load: how far standbys are behind, how much WAL was written, and the longest wait for a lock
-- since: 15
-- params: none
-- columns: lag_s float8, standby text, wal_bytes int8, waited_s float8, waiting_pid int4
-- locks: none
-- source: PostgreSQL manual, 28.2.4 pg_stat_replication, 54.12 pg_locks, 9.28.3 Backup Control Functions
SELECT
  EXTRACT(epoch FROM r.replay_lag)::float8 AS lag_s,
  r.application_name::text AS standby,
  pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0')::int8 AS wal_bytes,
  EXTRACT(epoch FROM pg_catalog.clock_timestamp() - w.waitstart)::float8 AS waited_s,
  w.pid AS waiting_pid
FROM (SELECT) AS one
LEFT JOIN LATERAL (
  SELECT s.replay_lag, s.application_name FROM pg_catalog.pg_stat_replication s
   WHERE s.replay_lag IS NOT NULL ORDER BY s.replay_lag DESC LIMIT 1) AS r ON true
LEFT JOIN LATERAL (
  SELECT l.pid, l.waitstart FROM pg_catalog.pg_locks l
   WHERE NOT l.granted AND l.waitstart IS NOT NULL
     AND (l.database IS NULL OR l.database = 0
          OR l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                            WHERE d.datname = pg_catalog.current_database()))
   ORDER BY l.waitstart LIMIT 1) AS w ON true
