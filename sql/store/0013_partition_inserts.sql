-- How many rows partitions near the end of their retention had taken when a run last looked, by
-- OID: one that has taken more since then is in use, whatever its bounds seem to say.
CREATE TABLE maintenance.partition_inserts (
  database text PRIMARY KEY,
  inserted jsonb NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
