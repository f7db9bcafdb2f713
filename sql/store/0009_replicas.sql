-- The workload of replicas beside that of the primary, by how the policy names them.
ALTER TABLE maintenance.workload ADD COLUMN server text NOT NULL DEFAULT 'primary';
ALTER TABLE maintenance.statement ADD COLUMN server text NOT NULL DEFAULT 'primary';

-- What each statement did between two looks at a server, newest look first. A counter that
-- went backwards was reset or evicted meanwhile: then it counts from zero.
CREATE OR REPLACE VIEW maintenance.query_performance_monitor AS
WITH step AS (
  SELECT s.*,
         pg_catalog.lag(s.taken_at) OVER w AS previous_at,
         pg_catalog.lag(s.calls) OVER w AS previous_calls,
         pg_catalog.lag(s.total_ms) OVER w AS previous_ms,
         pg_catalog.lag(s.n_rows) OVER w AS previous_rows,
         pg_catalog.lag(s.blocks_hit) OVER w AS previous_hit,
         pg_catalog.lag(s.blocks_read) OVER w AS previous_read
  FROM maintenance.statement s
  WINDOW w AS (PARTITION BY s.database, s.server, s.statement ORDER BY s.taken_at)
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
  d.blocks_read - CASE WHEN d.continues THEN d.previous_read ELSE 0 END AS blocks_read,
  d.server
FROM delta d;
