-- list_server_moments: the primary at each look of three months, oldest first; rates since the look before
-- since: 15
-- params: database text
-- columns: taken_at timestamptz, connections float8, hit_rate float8, wraparound float8, size_bytes int8, replication_lag_bytes int8, rollback_rate float8, n_connections int4, n_active int4, n_idle_in_transaction int4
-- locks: ACCESS SHARE on maintenance.workload
-- source: sql/store/0005_bloat_and_workload.sql, sql/store/0009_replicas.sql
SELECT s.taken_at, s.n_connections::float8 / s.n_usable AS connections,
  CASE WHEN s.epoch = s.before_epoch AND s.blocks_hit >= s.before_hit
        AND s.blocks_read >= s.before_read
    THEN (s.blocks_hit - s.before_hit)::float8
      / nullif(s.blocks_hit - s.before_hit + s.blocks_read - s.before_read, 0) END AS hit_rate,
  s.wraparound, s.size_bytes, s.replication_lag_bytes,
  CASE WHEN s.epoch = s.before_epoch AND s.commits >= s.before_commits
        AND s.rollbacks >= s.before_rollbacks
    THEN (s.rollbacks - s.before_rollbacks)::float8
      / nullif(s.commits - s.before_commits + s.rollbacks - s.before_rollbacks, 0)
    END AS rollback_rate,
  s.n_connections, s.n_active, s.n_idle_in_transaction
FROM (
  SELECT w.*, pg_catalog.lag(w.epoch) OVER t AS before_epoch,
    pg_catalog.lag(w.blocks_hit) OVER t AS before_hit,
    pg_catalog.lag(w.blocks_read) OVER t AS before_read,
    pg_catalog.lag(w.commits) OVER t AS before_commits,
    pg_catalog.lag(w.rollbacks) OVER t AS before_rollbacks
  FROM maintenance.workload AS w
  WHERE w.database = %(database)s::text AND w.server = 'primary'
    AND w.taken_at > pg_catalog.now() - interval '3 months'
  WINDOW t AS (ORDER BY w.taken_at)
) AS s
ORDER BY s.taken_at
