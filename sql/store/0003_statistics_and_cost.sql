-- How long each database that this store serves wants history kept; the longest counts for all.
CREATE TABLE maintenance.served (
  database text PRIMARY KEY,
  keep_months integer NOT NULL,
  keep_days integer NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- What each run's own queries cost, by what they were for.
CREATE TABLE maintenance.cost (
  taken_at timestamptz NOT NULL,
  database text NOT NULL,
  run_id uuid NOT NULL,
  purpose text NOT NULL,
  n_statements integer NOT NULL,
  seconds double precision NOT NULL,
  n_rows bigint NOT NULL
) PARTITION BY RANGE (taken_at);
CREATE INDEX cost_database_taken_at ON maintenance.cost (database, taken_at);
CREATE INDEX cost_run_id ON maintenance.cost (run_id);

-- What partitioned parents had to be analyzed for when a run last looked. Counters of leaves
-- start anew at a reset, so what they showed until then is carried over.
CREATE TABLE maintenance.parent_debt (
  database text NOT NULL,
  parent oid NOT NULL,
  name text NOT NULL,
  analyzed_at timestamptz,
  carried double precision NOT NULL,
  leaves jsonb NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  PRIMARY KEY (database, parent)
);
