-- thin_samples: replace the samples before a moment by one for each span, with the peaks of it
-- since: 15
-- params: database text, before timestamptz, span_s int4
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.sample
-- source: sql/store/0019_samples.sql
-- Only whole spans: `before` is a boundary of spans. Two at once share the rows between them.
WITH gone AS (
  DELETE FROM maintenance.sample AS s
  WHERE s.database = %(database)s::text AND s.span_s = 0 AND s.taken_at < %(before)s::timestamptz
  RETURNING s.*
), ranked AS (
  SELECT g.*, pg_catalog.date_bin(pg_catalog.make_interval(secs => %(span_s)s::int4), g.taken_at,
                                  '2000-01-01 00:00+00'::timestamptz) AS bucket
  FROM gone g
), whole AS (
  SELECT r.*, r.n_connections::float8 / r.n_usable AS share,
         pg_catalog.row_number() OVER (PARTITION BY r.bucket
           ORDER BY r.n_connections::float8 / r.n_usable DESC, r.taken_at) AS fullest
  FROM ranked r
)
INSERT INTO maintenance.sample
  (taken_at, database, span_s, n_connections, n_usable, n_active, n_idle, n_idle_in_transaction,
   n_waiting, longest_wait_s, oldest_transaction_s, longest_idle_s, n_slow, longest_statement_s,
   slot_bytes, standby_lag_bytes, wraparound, redis_run, redis_hits, redis_misses,
   redis_memory_bytes)
SELECT
  pg_catalog.max(w.taken_at) FILTER (WHERE w.fullest = 1),
  w.database,
  %(span_s)s::int4,
  pg_catalog.max(w.n_connections) FILTER (WHERE w.fullest = 1),
  pg_catalog.max(w.n_usable) FILTER (WHERE w.fullest = 1),
  pg_catalog.max(w.n_active),
  pg_catalog.max(w.n_idle),
  pg_catalog.max(w.n_idle_in_transaction),
  pg_catalog.max(w.n_waiting),
  pg_catalog.max(w.longest_wait_s),
  pg_catalog.max(w.oldest_transaction_s),
  pg_catalog.max(w.longest_idle_s),
  pg_catalog.max(w.n_slow),
  pg_catalog.max(w.longest_statement_s),
  pg_catalog.max(w.slot_bytes),
  pg_catalog.max(w.standby_lag_bytes),
  pg_catalog.max(w.wraparound),
  (pg_catalog.array_agg(w.redis_run ORDER BY w.taken_at DESC))[1],
  (pg_catalog.array_agg(w.redis_hits ORDER BY w.taken_at DESC))[1],
  (pg_catalog.array_agg(w.redis_misses ORDER BY w.taken_at DESC))[1],
  pg_catalog.max(w.redis_memory_bytes)
FROM whole w
GROUP BY w.database, w.bucket
