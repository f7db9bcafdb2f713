-- More counters of statements; null in observations of older versions.
ALTER TABLE maintenance.statement
  ADD COLUMN temp_blocks bigint,
  ADD COLUMN wal_bytes bigint,
  ADD COLUMN n_entries bigint,
  ADD COLUMN is_nested boolean;

-- The longest call that a statement which was not kept can have had: 0 if all were kept.
ALTER TABLE maintenance.workload ADD COLUMN statements_unseen_ms double precision;

-- What each statement did between two looks at a server, newest look first. A counter that
-- went backwards was reset or evicted meanwhile: then it counts from zero. The longest call is
-- null if it is older than the look before; its share is that of the time of all statements kept.
CREATE OR REPLACE VIEW maintenance.query_performance_monitor AS
WITH step AS (
  SELECT s.*,
         pg_catalog.lag(s.taken_at) OVER w AS previous_at,
         pg_catalog.lag(s.calls) OVER w AS previous_calls,
         pg_catalog.lag(s.total_ms) OVER w AS previous_ms,
         pg_catalog.lag(s.max_ms) OVER w AS previous_max,
         pg_catalog.lag(s.n_rows) OVER w AS previous_rows,
         pg_catalog.lag(s.blocks_hit) OVER w AS previous_hit,
         pg_catalog.lag(s.blocks_read) OVER w AS previous_read,
         pg_catalog.lag(s.temp_blocks) OVER w AS previous_temp,
         pg_catalog.lag(s.wal_bytes) OVER w AS previous_wal
  FROM maintenance.statement s
  WINDOW w AS (PARTITION BY s.database, s.server, s.statement ORDER BY s.taken_at)
), delta AS (
  SELECT step.*, coalesce(step.calls >= step.previous_calls
                          AND step.total_ms >= step.previous_ms, false) AS continues
  FROM step
), activity AS (
  SELECT
    d.*,
    CASE WHEN d.continues THEN d.previous_at ELSE d.since END AS began_at,
    d.calls - CASE WHEN d.continues THEN d.previous_calls ELSE 0 END AS new_calls,
    d.total_ms - CASE WHEN d.continues THEN d.previous_ms ELSE 0 END AS new_ms,
    d.n_rows - CASE WHEN d.continues THEN d.previous_rows ELSE 0 END AS new_rows
  FROM delta d
)
SELECT
  d.database,
  d.taken_at,
  d.began_at AS since,
  d.statement,
  d.text,
  d.new_calls AS calls,
  d.new_ms AS total_ms,
  d.new_ms / nullif(d.new_calls, 0) AS mean_ms,
  d.max_ms,
  d.new_rows AS n_rows,
  d.blocks_hit - CASE WHEN d.continues THEN d.previous_hit ELSE 0 END AS blocks_hit,
  d.blocks_read - CASE WHEN d.continues THEN d.previous_read ELSE 0 END AS blocks_read,
  d.server,
  CASE WHEN NOT d.continues OR d.max_ms > d.previous_max THEN d.max_ms END AS worst_ms,
  d.new_ms / nullif(pg_catalog.sum(d.new_ms)
    OVER (PARTITION BY d.database, d.server, d.taken_at), 0) AS time_share,
  d.new_calls / nullif(extract(epoch FROM d.taken_at - d.began_at)::float8, 0)
    AS calls_per_second,
  d.new_rows::float8 / nullif(d.new_calls, 0) AS rows_per_call,
  d.temp_blocks - CASE WHEN d.continues THEN d.previous_temp ELSE 0 END AS temp_blocks,
  d.wal_bytes - CASE WHEN d.continues THEN d.previous_wal ELSE 0 END AS wal_bytes
FROM activity d;
