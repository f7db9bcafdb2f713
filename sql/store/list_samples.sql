-- list_samples: the samples of a database since a moment, oldest first
-- since: 15
-- params: database text, since timestamptz
-- columns: taken_at timestamptz, n_connections int4, n_usable int4, n_active int4, n_idle int4, n_idle_in_transaction int4, n_waiting int4, longest_wait_s float4, oldest_transaction_s float4, longest_idle_s float4, n_slow int4, longest_statement_s float4, slot_bytes int8, standby_lag_bytes int8, wraparound float4, redis_run text, redis_hits int8, redis_misses int8, redis_memory_bytes int8
-- locks: ACCESS SHARE on maintenance.sample
-- source: sql/store/0019_samples.sql
SELECT s.taken_at, s.n_connections, s.n_usable, s.n_active, s.n_idle, s.n_idle_in_transaction,
  s.n_waiting, s.longest_wait_s, s.oldest_transaction_s, s.longest_idle_s, s.n_slow,
  s.longest_statement_s, s.slot_bytes, s.standby_lag_bytes, s.wraparound, s.redis_run,
  s.redis_hits, s.redis_misses, s.redis_memory_bytes
FROM maintenance.sample AS s
WHERE s.database = %(database)s::text AND s.taken_at >= %(since)s::timestamptz
ORDER BY s.taken_at
