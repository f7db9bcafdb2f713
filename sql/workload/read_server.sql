-- read_server: connections by state, counters and gauges of the server and this database, one row
-- since: 15
-- params:
-- columns: max_connections int4, n_reserved int4, n_connections int8, n_active int8, n_idle int8, n_idle_in_transaction int8, n_other int8, blocks_hit int8, blocks_read int8, commits int8, rollbacks int8, epoch text, track_counts bool, track_io bool, n_ours int8, connection_limit int4, n_hidden int8, in_recovery bool, monitors bool
-- locks: none
-- source: PostgreSQL manual, 28.2.3 pg_stat_activity, 28.2.17 pg_stat_database, 20.3 Connection Settings
-- The backend type of other roles' sessions is visible only to members of pg_read_all_stats. Counters
-- are comparable within one epoch: a restart, a reset and a failover begin a new one.
SELECT
  pg_catalog.current_setting('max_connections')::int4 AS max_connections,
  pg_catalog.current_setting('superuser_reserved_connections')::int4
    + coalesce(pg_catalog.current_setting('reserved_connections', true)::int4, 0) AS n_reserved,
  c.n_connections,
  c.n_active,
  c.n_idle,
  c.n_idle_in_transaction,
  c.n_other,
  d.blks_hit AS blocks_hit,
  d.blks_read AS blocks_read,
  d.xact_commit AS commits,
  d.xact_rollback AS rollbacks,
  pg_catalog.concat_ws(' ',
    EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time())::numeric,
    EXTRACT(epoch FROM d.stats_reset)::numeric,
    (SELECT s.system_identifier FROM pg_catalog.pg_control_system() s),
    (SELECT p.timeline_id FROM pg_catalog.pg_control_checkpoint() p)) AS epoch,
  pg_catalog.current_setting('track_counts')::bool AS track_counts,
  pg_catalog.current_setting('track_io_timing')::bool AS track_io,
  c.n_ours,
  (SELECT nullif(l.datconnlimit, -1) FROM pg_catalog.pg_database l
   WHERE l.datname = pg_catalog.current_database()) AS connection_limit,
  c.n_hidden,
  pg_catalog.pg_is_in_recovery() AS in_recovery,
  pg_catalog.pg_has_role('pg_monitor', 'USAGE') AS monitors
FROM (
  SELECT
    pg_catalog.count(*) AS n_connections,
    pg_catalog.count(*) FILTER (WHERE a.state = 'active') AS n_active,
    pg_catalog.count(*) FILTER (WHERE a.state = 'idle') AS n_idle,
    pg_catalog.count(*) FILTER (WHERE pg_catalog.starts_with(a.state, 'idle in transaction'))
      AS n_idle_in_transaction,
    pg_catalog.count(*) FILTER (WHERE a.state IS NULL
      OR a.state NOT IN ('active', 'idle') AND NOT pg_catalog.starts_with(a.state, 'idle in transaction'))
      AS n_other,
    pg_catalog.count(*) FILTER (WHERE a.datname = pg_catalog.current_database()) AS n_ours,
    pg_catalog.count(*) FILTER (WHERE a.backend_type IS NULL) AS n_hidden
  FROM pg_catalog.pg_stat_activity a
  WHERE a.datid IS NOT NULL AND coalesce(a.backend_type, 'client backend') = 'client backend'
) c
CROSS JOIN (SELECT x.* FROM pg_catalog.pg_stat_database x
            WHERE x.datname = pg_catalog.current_database()) d
