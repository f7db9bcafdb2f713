-- Which retentions may be carried out by a schedule, and from when to when a database was paused.
CREATE TABLE maintenance.approval (
  database text NOT NULL,
  table_name text NOT NULL,
  action text NOT NULL,
  keep_months integer NOT NULL,
  keep_days integer NOT NULL,
  grace_months integer NOT NULL,
  grace_days integer NOT NULL,
  approved_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  approved_by text NOT NULL,
  how text NOT NULL CHECK (how IN ('approve', 'apply', 'dagster')),
  PRIMARY KEY (database, table_name)
);

CREATE TABLE maintenance.pause (
  database text NOT NULL,
  since timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  until timestamptz,
  reason text NOT NULL,
  paused_by text NOT NULL,
  ended_at timestamptz,
  ended_by text,
  PRIMARY KEY (database, since)
);
