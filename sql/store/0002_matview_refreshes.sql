-- Every refresh of a materialized view, and what proves when another one is not needed.
CREATE TABLE maintenance.matview_refresh (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  database text NOT NULL,
  view text NOT NULL,
  run_id uuid NOT NULL REFERENCES maintenance.run ON DELETE CASCADE,
  started_at timestamptz NOT NULL,
  ended_at timestamptz NOT NULL,
  mode text NOT NULL CHECK (mode IN ('concurrently', 'plain', 'populate', 'create', 'rebuild')),
  reason text NOT NULL,
  error text,
  changed boolean NOT NULL,
  n_rows bigint,
  n_inserted bigint,
  n_updated bigint,
  n_deleted bigint,
  n_null_keys bigint,
  temp_bytes bigint,
  -- what the view was when it was left, to notice a refresh by somebody else
  state jsonb,
  -- what it read as it was before; only the newest refresh keeps it
  fingerprint jsonb,
  -- up to when the content was right, and up to when a later look has proven it still is
  as_of timestamptz,
  proven_as_of timestamptz
);
CREATE INDEX matview_refresh_run ON maintenance.matview_refresh (run_id);
CREATE INDEX matview_refresh_newest ON maintenance.matview_refresh (database, view, id DESC);
-- What a view's file was found to mean, so that the server need not be asked again.
CREATE TABLE maintenance.matview_definition (
  database text NOT NULL,
  view text NOT NULL,
  identity text NOT NULL,
  differs text,
  PRIMARY KEY (database, view)
);
