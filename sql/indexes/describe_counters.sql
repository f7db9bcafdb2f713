-- describe_counters: the server and the start of its counters, one row
-- since: 15
-- params:
-- columns: taken_at timestamptz, system_identifier int8, timeline int4, database_reset_at timestamptz, server_reset_at timestamptz, is_counting bool
-- locks: none
-- source: PostgreSQL manual, 27.2 The Cumulative Statistics System, 9.27 System Administration Functions
-- A crash resets all counters without a trace in pg_stat_database, but the archiver's counters then
-- restart with a new reset time. A clean restart keeps both. After a promotion the control file has
-- the old timeline for a while; the name of the next WAL file has the new one.
SELECT
  pg_catalog.clock_timestamp() AS taken_at,
  s.system_identifier,
  CASE WHEN pg_catalog.pg_is_in_recovery() THEN c.timeline_id
       ELSE ('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8))::bit(32)::int4
  END AS timeline,
  pg_catalog.pg_stat_get_db_stat_reset_time(d.oid) AS database_reset_at,
  a.stats_reset AS server_reset_at,
  pg_catalog.current_setting('track_counts')::bool AS is_counting
FROM pg_catalog.pg_database d
CROSS JOIN pg_catalog.pg_control_system() s
CROSS JOIN pg_catalog.pg_control_checkpoint() c
CROSS JOIN pg_catalog.pg_stat_archiver a
WHERE d.datname = pg_catalog.current_database()
