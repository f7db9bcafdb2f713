-- read_load: the load of the server, for a build of an index, one row
-- since: 15
-- params:
-- columns: at_s float8, wal_bytes int8, n_active int8, n_hidden int8, n_hidden_here int8, n_hidden_builds int8, replica text, replica_lag_bytes int8, n_hidden_replicas int8, role text
-- locks: none
-- source: PostgreSQL manual, 28.2.3 pg_stat_activity, 28.2.4 pg_stat_replication, 28.4.2 pg_stat_progress_create_index, 9.27.3 pg_current_wal_lsn
-- Without pg_read_all_stats the server shows that the sessions of other roles exist, and nothing of
-- what they do. The replica is the one that is furthest behind; a receiver that replays nothing
-- counts by what it has flushed or written.
SELECT
  EXTRACT(epoch FROM pg_catalog.clock_timestamp())::float8 AS at_s,
  pg_catalog.pg_wal_lsn_diff(w.at, '0/0')::int8 AS wal_bytes,
  s.n_active,
  s.n_hidden,
  s.n_hidden_here,
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_progress_create_index p
   WHERE p.relid IS NULL AND p.datname = pg_catalog.current_database()) AS n_hidden_builds,
  r.name AS replica,
  r.lag_bytes AS replica_lag_bytes,
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication h WHERE h.state IS NULL)
    AS n_hidden_replicas,
  pg_catalog.quote_ident(current_user) AS role
FROM (SELECT pg_catalog.pg_current_wal_lsn() AS at) w
CROSS JOIN (
  SELECT
    pg_catalog.count(*) FILTER (WHERE a.state = 'active' AND a.backend_type = 'client backend'
      AND a.pid <> pg_catalog.pg_backend_pid()
      AND NOT pg_catalog.starts_with(a.application_name, 'maintenance ')) AS n_active,
    pg_catalog.count(*) FILTER (WHERE a.backend_type IS NULL) AS n_hidden,
    pg_catalog.count(*) FILTER (WHERE a.backend_type IS NULL
      AND a.datname = pg_catalog.current_database()) AS n_hidden_here
  FROM pg_catalog.pg_stat_activity a
  WHERE a.datid IS NOT NULL AND a.usesysid IS NOT NULL) s
LEFT JOIN LATERAL (
  SELECT coalesce(nullif(x.application_name, ''), x.client_addr::text, x.pid::text) AS name,
    pg_catalog.pg_wal_lsn_diff(w.at, coalesce(x.replay_lsn, x.flush_lsn, x.write_lsn, x.sent_lsn))::int8
      AS lag_bytes
  FROM pg_catalog.pg_stat_replication x
  WHERE x.state NOT IN ('startup', 'backup')
  ORDER BY lag_bytes DESC NULLS LAST LIMIT 1) r ON true
