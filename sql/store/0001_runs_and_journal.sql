-- Every run, what it meant to do before it did it, what came of it, and what it found.
CREATE TABLE maintenance.run (
  id uuid PRIMARY KEY,
  database text NOT NULL,
  command text NOT NULL,
  version text NOT NULL,
  policy_hash text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  ended_at timestamptz,
  outcome text CHECK (outcome IN ('done', 'failed')),
  error text
);
CREATE INDEX run_database_started_at ON maintenance.run (database, started_at DESC);

CREATE TABLE maintenance.journal (
  run_id uuid NOT NULL REFERENCES maintenance.run ON DELETE CASCADE,
  action_id text NOT NULL,
  place integer NOT NULL,
  kind text NOT NULL,
  object text NOT NULL,
  table_name text,
  period text,
  sql text[] NOT NULL,
  reason text NOT NULL,
  destructive boolean NOT NULL,
  intended_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  ended_at timestamptz,
  outcome text CHECK (outcome IN ('done', 'skipped', 'failed', 'refused')),
  attempts integer,
  duration_ms double precision,
  error text,
  detail jsonb,
  PRIMARY KEY (run_id, action_id)
);
CREATE INDEX journal_object ON maintenance.journal (object);

CREATE TABLE maintenance.finding (
  run_id uuid NOT NULL REFERENCES maintenance.run ON DELETE CASCADE,
  kind text NOT NULL,
  object text NOT NULL,
  severity text NOT NULL CHECK (severity IN ('info', 'warn', 'error')),
  message text NOT NULL,
  value jsonb,
  threshold jsonb,
  data jsonb NOT NULL,
  PRIMARY KEY (run_id, kind, object)
);
