-- What the application's cache is still to be told, and what each look at it gave.
CREATE TABLE maintenance.invalidation (
  database text NOT NULL,
  object text NOT NULL,
  patterns text[] NOT NULL,
  message jsonb NOT NULL,
  owed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  attempts integer NOT NULL DEFAULT 0,
  error text,
  PRIMARY KEY (database, object)
);

CREATE TABLE maintenance.cache_look (
  database text NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  server_run text NOT NULL,
  version text NOT NULL,
  hits bigint NOT NULL,
  misses bigint NOT NULL,
  evicted bigint NOT NULL,
  expired bigint NOT NULL,
  used_memory_bytes bigint NOT NULL,
  max_memory_bytes bigint NOT NULL,
  n_keys bigint NOT NULL,
  n_expiring bigint NOT NULL,
  PRIMARY KEY (database, seen_at)
);
