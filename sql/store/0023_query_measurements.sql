-- Plans of declared queries, each night and around the build of an index, there with their times.
-- `object` is the index that was built. A plan has no conditions: those have values of parameters.
CREATE TABLE maintenance.query_measurement (
  taken_at timestamptz NOT NULL,
  database text NOT NULL,
  run_id uuid,
  phase text NOT NULL CHECK (phase IN ('before', 'after', 'nightly')),
  object text,
  query text NOT NULL,
  text_digest text NOT NULL,
  parameters integer NOT NULL,
  mode text NOT NULL,
  plan_digest text,
  plan jsonb,
  cost double precision,
  times_ms double precision[],
  blocks bigint,
  failure text
) PARTITION BY RANGE (taken_at);
CREATE INDEX query_measurement_database_taken_at
  ON maintenance.query_measurement (database, taken_at);
