-- describe_epoch: values that must be equal for two readings of counters to be comparable, one row
-- since: 15
-- params: irrelevant text[], categories text[]
-- columns: stats_reset text, started text, system text, timeline text, crashed text, collation text, counts bool, settings jsonb
-- locks: none
-- source: PostgreSQL manual, 27.2.1 statistics collection, 9.28.2 pg_control_system, 54.24 pg_settings
-- A crash with automatic recovery resets shared statistics: the start time of the server does not
-- change, and the database's reset time becomes null. Settings are those of a new session of this
-- role, not the values pinned in this one.
SELECT
  pg_catalog.pg_stat_get_db_stat_reset_time(d.oid)::pg_catalog.text AS stats_reset,
  pg_catalog.pg_postmaster_start_time()::pg_catalog.text AS started,
  (SELECT s.system_identifier FROM pg_catalog.pg_control_system() AS s)::pg_catalog.text AS system,
  CASE WHEN NOT pg_catalog.pg_is_in_recovery()
    THEN pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8)
  END AS timeline,
  pg_catalog.concat_ws(' ',
    (SELECT a.stats_reset FROM pg_catalog.pg_stat_get_archiver() AS a),
    pg_catalog.pg_stat_get_bgwriter_stat_reset_time(),
    (SELECT w.stats_reset FROM pg_catalog.pg_stat_get_wal() AS w)) AS crashed,
  pg_catalog.pg_database_collation_actual_version(d.oid) AS collation,
  pg_catalog.current_setting('track_counts') = 'on'
    AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_db_role_setting AS r
      CROSS JOIN LATERAL pg_catalog.unnest(r.setconfig) AS s (setting)
      WHERE r.setdatabase IN (0, d.oid) AND s.setting LIKE 'track\_counts=%%'
    ) AS counts,
  (
    SELECT pg_catalog.jsonb_object_agg(s.name, s.reset_val)
    FROM pg_catalog.pg_settings AS s
    WHERE pg_catalog.split_part(s.category, ' / ', 1) = ANY (%(categories)s)
      AND s.name <> ALL (%(irrelevant)s)
      AND s.reset_val IS DISTINCT FROM s.boot_val
  ) AS settings
FROM pg_catalog.pg_database AS d
WHERE d.datname = pg_catalog.current_database()
