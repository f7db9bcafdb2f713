-- What the watch saw: a row a database each minute, thinned after a day to the peaks of ten
-- minutes. NULL is unknown. Counters of Redis are as the server has them.
CREATE TABLE maintenance.sample (
  taken_at timestamptz NOT NULL,
  database text NOT NULL,
  span_s integer NOT NULL DEFAULT 0,
  n_connections integer NOT NULL,
  n_usable integer NOT NULL,
  n_active integer,
  n_idle integer,
  n_idle_in_transaction integer,
  n_waiting integer,
  longest_wait_s real,
  oldest_transaction_s real,
  longest_idle_s real,
  n_slow integer,
  longest_statement_s real,
  slot_bytes bigint,
  standby_lag_bytes bigint,
  wraparound real,
  redis_run text,
  redis_hits bigint,
  redis_misses bigint,
  redis_memory_bytes bigint
) PARTITION BY RANGE (taken_at);
CREATE INDEX sample_database_taken_at ON maintenance.sample (database, taken_at);
CREATE INDEX sample_unthinned ON maintenance.sample (database, taken_at) WHERE span_s = 0;
