-- add_refresh: keep one refresh of a view; only the newest good one keeps its fingerprint
-- since: 15
-- params: database text, view text, run_id uuid, started_at timestamptz, ended_at timestamptz, mode text, reason text, error text, changed bool, n_rows int8, n_inserted int8, n_updated int8, n_deleted int8, n_null_keys int8, temp_bytes int8, state jsonb, fingerprint jsonb, as_of timestamptz
-- columns: id int8
-- locks: ROW EXCLUSIVE on maintenance.matview_refresh
-- source: sql/store/0002_matview_refreshes.sql
WITH older AS (
  UPDATE maintenance.matview_refresh SET fingerprint = NULL
  WHERE database = %(database)s::text AND view = %(view)s::text AND fingerprint IS NOT NULL
    AND %(error)s::text IS NULL
)
INSERT INTO maintenance.matview_refresh
  (database, view, run_id, started_at, ended_at, mode, reason, error, changed, n_rows, n_inserted,
   n_updated, n_deleted, n_null_keys, temp_bytes, state, fingerprint, as_of)
VALUES
  (%(database)s::text, %(view)s::text, %(run_id)s::uuid, %(started_at)s::timestamptz,
   %(ended_at)s::timestamptz, %(mode)s::text, %(reason)s::text, %(error)s::text,
   %(changed)s::bool, %(n_rows)s::int8, %(n_inserted)s::int8, %(n_updated)s::int8,
   %(n_deleted)s::int8, %(n_null_keys)s::int8, %(temp_bytes)s::int8, %(state)s::jsonb,
   %(fingerprint)s::jsonb, %(as_of)s::timestamptz)
RETURNING id
