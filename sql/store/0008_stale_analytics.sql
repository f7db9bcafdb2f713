-- The newest look at each table of computed rows, for whoever must not look at the table itself.
CREATE TABLE maintenance.stale_analytics (
  database text NOT NULL,
  table_name text NOT NULL,
  seen_at timestamptz NOT NULL,
  n_stale bigint NOT NULL,
  oldest_age_s double precision,
  PRIMARY KEY (database, table_name)
);
