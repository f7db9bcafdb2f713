-- summarize_samples: the peaks of a database's samples since a moment, one row
-- since: 15
-- params: database text, since timestamptz
-- columns: n_samples int8, n_idle_in_transaction int4, oldest_transaction_s float4, longest_idle_s float4, n_waiting int4, longest_wait_s float4, blocked_s float8, n_slow int4, longest_statement_s float4, slot_bytes int8, standby_lag_bytes int8, wraparound float4, redis_memory_bytes int8
-- locks: ACCESS SHARE on maintenance.sample
-- source: sql/store/0019_samples.sql
-- The time in which a session waited counts from the sample before, ten minutes at most.
SELECT
  pg_catalog.count(*) AS n_samples,
  pg_catalog.max(s.n_idle_in_transaction) AS n_idle_in_transaction,
  pg_catalog.max(s.oldest_transaction_s) AS oldest_transaction_s,
  pg_catalog.max(s.longest_idle_s) AS longest_idle_s,
  pg_catalog.max(s.n_waiting) AS n_waiting,
  pg_catalog.max(s.longest_wait_s) AS longest_wait_s,
  coalesce(pg_catalog.sum(least(s.longest_wait_s::float8, s.since_before_s, 600))
             FILTER (WHERE s.n_waiting > 0), 0)::float8 AS blocked_s,
  pg_catalog.max(s.n_slow) AS n_slow,
  pg_catalog.max(s.longest_statement_s) AS longest_statement_s,
  pg_catalog.max(s.slot_bytes) AS slot_bytes,
  pg_catalog.max(s.standby_lag_bytes) AS standby_lag_bytes,
  pg_catalog.max(s.wraparound) AS wraparound,
  pg_catalog.max(s.redis_memory_bytes) AS redis_memory_bytes
FROM (
  SELECT a.*, EXTRACT(epoch FROM a.taken_at - pg_catalog.lag(a.taken_at) OVER (ORDER BY a.taken_at))
                ::float8 AS since_before_s
  FROM maintenance.sample AS a
  WHERE a.database = %(database)s::text AND a.taken_at >= %(since)s::timestamptz
) AS s
