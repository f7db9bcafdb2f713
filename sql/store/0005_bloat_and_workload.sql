-- How large and how empty relations were, for trends.
CREATE TABLE maintenance.bloat (
  taken_at timestamptz NOT NULL,
  database text NOT NULL,
  object text NOT NULL,
  table_name text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('table', 'toast', 'index')),
  size_bytes bigint NOT NULL,
  fraction double precision,
  method text NOT NULL
) PARTITION BY RANGE (taken_at);
CREATE INDEX bloat_database_taken_at ON maintenance.bloat (database, taken_at);

-- When bloat was last looked at: a look at nothing large leaves no rows.
CREATE TABLE maintenance.bloat_look (
  database text PRIMARY KEY,
  taken_at timestamptz NOT NULL
);

-- Indexes that were rebuilt, and by which OIDs what a killed rebuild leaves is known again.
CREATE TABLE maintenance.rebuild (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  database text NOT NULL,
  index_name text NOT NULL,
  run_id uuid NOT NULL,
  old_oid oid NOT NULL,
  new_oid oid,
  started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  ended_at timestamptz,
  size_before bigint NOT NULL,
  size_after bigint
);
CREATE INDEX rebuild_database_started_at ON maintenance.rebuild (database, started_at);

-- The server's counters and gauges; counters are as the server has them, and begin anew with it.
CREATE TABLE maintenance.workload (
  taken_at timestamptz NOT NULL,
  database text NOT NULL,
  epoch text NOT NULL,
  n_connections integer NOT NULL,
  n_usable integer NOT NULL,
  n_active integer NOT NULL,
  n_idle_in_transaction integer NOT NULL,
  blocks_hit bigint NOT NULL,
  blocks_read bigint NOT NULL,
  commits bigint NOT NULL,
  rollbacks bigint NOT NULL,
  size_bytes bigint,
  oldest_transaction_s double precision,
  wraparound double precision NOT NULL,
  replication_lag_bytes bigint,
  statements_epoch text,
  statements_evicted bigint
) PARTITION BY RANGE (taken_at);
CREATE INDEX workload_database_taken_at ON maintenance.workload (database, taken_at);

-- Counters of the heaviest statements. The text has no literals: they are replaced before.
CREATE TABLE maintenance.statement (
  taken_at timestamptz NOT NULL,
  database text NOT NULL,
  statement text NOT NULL,
  text text NOT NULL,
  since timestamptz,
  calls bigint NOT NULL,
  total_ms double precision NOT NULL,
  squares_ms double precision NOT NULL,
  max_ms double precision NOT NULL,
  n_rows bigint NOT NULL,
  blocks_hit bigint NOT NULL,
  blocks_read bigint NOT NULL,
  read_ms double precision NOT NULL
) PARTITION BY RANGE (taken_at);
CREATE INDEX statement_database_taken_at ON maintenance.statement (database, taken_at);

-- Sizes of tables with their indexes and TOAST; a partitioned table is the sum of its partitions.
CREATE TABLE maintenance.table_size (
  taken_at timestamptz NOT NULL,
  database text NOT NULL,
  object text NOT NULL,
  n_partitions integer NOT NULL,
  size_bytes bigint NOT NULL,
  n_rows double precision
) PARTITION BY RANGE (taken_at);
CREATE INDEX table_size_database_taken_at ON maintenance.table_size (database, taken_at);

-- What each statement did between two looks at the server, newest look first. A counter that
-- went backwards was reset or evicted meanwhile: then it counts from zero.
CREATE VIEW maintenance.query_performance_monitor AS
WITH step AS (
  SELECT s.*,
         pg_catalog.lag(s.taken_at) OVER w AS previous_at,
         pg_catalog.lag(s.calls) OVER w AS previous_calls,
         pg_catalog.lag(s.total_ms) OVER w AS previous_ms,
         pg_catalog.lag(s.n_rows) OVER w AS previous_rows,
         pg_catalog.lag(s.blocks_hit) OVER w AS previous_hit,
         pg_catalog.lag(s.blocks_read) OVER w AS previous_read
  FROM maintenance.statement s
  WINDOW w AS (PARTITION BY s.database, s.statement ORDER BY s.taken_at)
), delta AS (
  SELECT step.*, coalesce(step.calls >= step.previous_calls
                          AND step.total_ms >= step.previous_ms, false) AS continues
  FROM step
)
SELECT
  d.database,
  d.taken_at,
  CASE WHEN d.continues THEN d.previous_at ELSE d.since END AS since,
  d.statement,
  d.text,
  d.calls - CASE WHEN d.continues THEN d.previous_calls ELSE 0 END AS calls,
  d.total_ms - CASE WHEN d.continues THEN d.previous_ms ELSE 0 END AS total_ms,
  (d.total_ms - CASE WHEN d.continues THEN d.previous_ms ELSE 0 END)
    / nullif(d.calls - CASE WHEN d.continues THEN d.previous_calls ELSE 0 END, 0) AS mean_ms,
  d.max_ms,
  d.n_rows - CASE WHEN d.continues THEN d.previous_rows ELSE 0 END AS n_rows,
  d.blocks_hit - CASE WHEN d.continues THEN d.previous_hit ELSE 0 END AS blocks_hit,
  d.blocks_read - CASE WHEN d.continues THEN d.previous_read ELSE 0 END AS blocks_read
FROM delta d;

-- The newest size of each table, and what it grew since the looks a day, a week and a month ago.
CREATE VIEW maintenance.table_size_monitor AS
WITH newest AS (
  SELECT database, pg_catalog.max(taken_at) AS taken_at FROM maintenance.table_size GROUP BY 1
)
SELECT
  t.database,
  t.taken_at,
  t.object,
  t.n_partitions,
  t.size_bytes,
  pg_catalog.pg_size_pretty(t.size_bytes) AS size,
  t.n_rows,
  t.size_bytes - d.size_bytes AS grown_in_a_day,
  t.size_bytes - w.size_bytes AS grown_in_a_week,
  t.size_bytes - m.size_bytes AS grown_in_a_month
FROM newest n
JOIN maintenance.table_size t ON t.database = n.database AND t.taken_at = n.taken_at
LEFT JOIN LATERAL (
  SELECT o.size_bytes FROM maintenance.table_size o
  WHERE o.database = t.database AND o.object = t.object
    AND o.taken_at <= t.taken_at - interval '1 day' ORDER BY o.taken_at DESC LIMIT 1) d ON true
LEFT JOIN LATERAL (
  SELECT o.size_bytes FROM maintenance.table_size o
  WHERE o.database = t.database AND o.object = t.object
    AND o.taken_at <= t.taken_at - interval '7 days' ORDER BY o.taken_at DESC LIMIT 1) w ON true
LEFT JOIN LATERAL (
  SELECT o.size_bytes FROM maintenance.table_size o
  WHERE o.database = t.database AND o.object = t.object
    AND o.taken_at <= t.taken_at - interval '30 days' ORDER BY o.taken_at DESC LIMIT 1) m ON true;

-- Scans, size and emptiness of the indexes of the database that the store is in, as counted
-- there since its statistics were reset; replicas count for themselves.
CREATE VIEW maintenance.index_effectiveness AS
SELECT
  u.schemaname AS schema_name,
  u.relname AS table_name,
  u.indexrelname AS index_name,
  u.idx_scan AS scans,
  u.idx_tup_read AS entries_read,
  u.idx_tup_fetch AS rows_fetched,
  c.relpages::bigint * 8192 AS size_bytes,
  i.indisunique AS is_unique,
  i.indisvalid AS is_valid,
  b.fraction AS bloat,
  b.method AS bloat_method,
  b.taken_at AS bloat_taken_at
FROM pg_catalog.pg_stat_user_indexes u
JOIN pg_catalog.pg_index i ON i.indexrelid = u.indexrelid
JOIN pg_catalog.pg_class c ON c.oid = u.indexrelid
LEFT JOIN LATERAL (
  SELECT o.fraction, o.method, o.taken_at FROM maintenance.bloat o
  WHERE o.kind = 'index'
    AND o.object = pg_catalog.format('%I.%I', u.schemaname, u.indexrelname)
  ORDER BY o.taken_at DESC LIMIT 1) b ON true
WHERE u.schemaname <> 'maintenance';
