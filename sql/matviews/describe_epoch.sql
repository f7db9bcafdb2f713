-- describe_epoch: what must not have changed for two readings of counters to be comparable, one row
-- since: 14
-- params:
-- columns: stats_reset text, started text, system text, timeline text, counts bool
-- locks: none
-- source: PostgreSQL manual, 27.2.1 statistics collection, 9.28.2 pg_control_system
SELECT
  pg_catalog.pg_stat_get_db_stat_reset_time(d.oid)::pg_catalog.text AS stats_reset,
  pg_catalog.pg_postmaster_start_time()::pg_catalog.text AS started,
  (SELECT s.system_identifier FROM pg_catalog.pg_control_system() AS s)::pg_catalog.text AS system,
  CASE WHEN NOT pg_catalog.pg_is_in_recovery()
    THEN pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8)
  END AS timeline,
  pg_catalog.current_setting('track_counts') = 'on'
    AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_db_role_setting AS r
      CROSS JOIN LATERAL pg_catalog.unnest(r.setconfig) AS s (setting)
      WHERE r.setdatabase IN (0, d.oid) AND s.setting LIKE 'track\_counts=%'
    ) AS counts
FROM pg_catalog.pg_database AS d
WHERE d.datname = pg_catalog.current_database()
