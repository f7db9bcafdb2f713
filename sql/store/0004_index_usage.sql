-- How often each server of a cluster has used each index: one row a look and a server. The two
-- arrays go together: `SELECT * FROM unnest(oids, scans)`. Counters compare only within an epoch.
CREATE TABLE maintenance.index_usage (
  taken_at timestamptz NOT NULL,
  database text NOT NULL,
  server text NOT NULL,
  system_identifier bigint NOT NULL,
  timeline integer NOT NULL,
  database_reset_at timestamptz,
  server_reset_at timestamptz NOT NULL,
  oids oid[] NOT NULL,
  scans bigint[] NOT NULL
) PARTITION BY RANGE (taken_at);
CREATE INDEX index_usage_database_server_taken_at
  ON maintenance.index_usage (database, server, taken_at DESC);
