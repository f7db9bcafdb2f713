-- add_sample: keep one sample of the watch
-- since: 15
-- params: taken_at timestamptz, database text, n_connections int4, n_usable int4, n_active int4, n_idle int4, n_idle_in_transaction int4, n_waiting int4, longest_wait_s float4, oldest_transaction_s float4, longest_idle_s float4, n_slow int4, longest_statement_s float4, slot_bytes int8, standby_lag_bytes int8, wraparound float4, redis_run text, redis_hits int8, redis_misses int8, redis_memory_bytes int8
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.sample
-- source: sql/store/0019_samples.sql
INSERT INTO maintenance.sample
  (taken_at, database, n_connections, n_usable, n_active, n_idle, n_idle_in_transaction, n_waiting,
   longest_wait_s, oldest_transaction_s, longest_idle_s, n_slow, longest_statement_s, slot_bytes,
   standby_lag_bytes, wraparound, redis_run, redis_hits, redis_misses, redis_memory_bytes)
VALUES
  (%(taken_at)s::timestamptz, %(database)s::text, %(n_connections)s::int4, %(n_usable)s::int4,
   %(n_active)s::int4, %(n_idle)s::int4, %(n_idle_in_transaction)s::int4, %(n_waiting)s::int4,
   %(longest_wait_s)s::float4, %(oldest_transaction_s)s::float4, %(longest_idle_s)s::float4,
   %(n_slow)s::int4, %(longest_statement_s)s::float4, %(slot_bytes)s::int8,
   %(standby_lag_bytes)s::int8, %(wraparound)s::float4, %(redis_run)s::text,
   %(redis_hits)s::int8, %(redis_misses)s::int8, %(redis_memory_bytes)s::int8)
