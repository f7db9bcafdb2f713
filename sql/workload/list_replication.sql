-- list_replication: the lag of each standby and each slot, in bytes of WAL
-- since: 15
-- params:
-- columns: what text, name text, state text, lag_bytes int8, lag_s float8
-- locks: none
-- source: PostgreSQL manual, 28.2.4 pg_stat_replication, 54.20 pg_replication_slots
-- An unused slot retains WAL until the disk is full. A standby has no write position to compare
-- with, so nothing is listed there.
SELECT
  'standby' AS what,
  coalesce(nullif(r.application_name, ''), r.client_addr::text, r.pid::text) AS name,
  r.state,
  pg_catalog.pg_wal_lsn_diff(w.at, r.replay_lsn)::int8 AS lag_bytes,
  EXTRACT(epoch FROM r.replay_lag)::float8 AS lag_s
FROM (SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery()
                  THEN pg_catalog.pg_current_wal_lsn() END AS at) w
CROSS JOIN pg_catalog.pg_stat_replication r
UNION ALL
SELECT
  'slot',
  s.slot_name::text,
  pg_catalog.concat_ws(', ', CASE WHEN s.active THEN 'active' ELSE 'not in use' END,
                       s.wal_status),
  pg_catalog.pg_wal_lsn_diff(w.at, s.restart_lsn)::int8,
  NULL
FROM (SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery()
                  THEN pg_catalog.pg_current_wal_lsn() END AS at) w
CROSS JOIN pg_catalog.pg_replication_slots s
ORDER BY what, name
