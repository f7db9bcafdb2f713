-- add_workload: keep the counters and gauges of a server
-- since: 15
-- params: taken_at timestamptz, database text, server text, epoch text, n_connections int4, n_usable int4, n_active int4, n_idle_in_transaction int4, blocks_hit int8, blocks_read int8, commits int8, rollbacks int8, size_bytes int8, oldest_transaction_s float8, wraparound float8, replication_lag_bytes int8, statements_epoch text, statements_evicted int8, statements_unseen_ms float8
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.workload
-- source: sql/store/0005_bloat_and_workload.sql, sql/store/0009_replicas.sql, sql/store/0017_statement_counters.sql
INSERT INTO maintenance.workload
  (taken_at, database, server, epoch, n_connections, n_usable, n_active, n_idle_in_transaction,
   blocks_hit, blocks_read, commits, rollbacks, size_bytes, oldest_transaction_s, wraparound,
   replication_lag_bytes, statements_epoch, statements_evicted,
   statements_unseen_ms)
VALUES
  (%(taken_at)s::timestamptz, %(database)s::text, %(server)s::text, %(epoch)s::text,
   %(n_connections)s::int4, %(n_usable)s::int4, %(n_active)s::int4,
   %(n_idle_in_transaction)s::int4, %(blocks_hit)s::int8, %(blocks_read)s::int8,
   %(commits)s::int8, %(rollbacks)s::int8, %(size_bytes)s::int8,
   %(oldest_transaction_s)s::float8, %(wraparound)s::float8, %(replication_lag_bytes)s::int8,
   %(statements_epoch)s::text, %(statements_evicted)s::int8,
   %(statements_unseen_ms)s::float8)
