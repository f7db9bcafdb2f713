-- list_newest_failures: the newest refresh of each view, where that failed
-- since: 15
-- params: database text
-- columns: id int8, view text, run_id uuid, started_at timestamptz, ended_at timestamptz, mode text, reason text, error text, changed bool, n_rows int8, n_inserted int8, n_updated int8, n_deleted int8, n_null_keys int8, temp_bytes int8, state jsonb, fingerprint jsonb, as_of timestamptz, proven_as_of timestamptz, changed_id int8
-- locks: ACCESS SHARE on maintenance.matview_refresh
-- source: sql/store/0002_matview_refreshes.sql
SELECT n.id, n.view, n.run_id, n.started_at, n.ended_at, n.mode, n.reason, n.error, n.changed,
  n.n_rows, n.n_inserted, n.n_updated, n.n_deleted, n.n_null_keys, n.temp_bytes, n.state,
  n.fingerprint, n.as_of, n.proven_as_of,
  (SELECT pg_catalog.max(c.id) FROM maintenance.matview_refresh AS c
   WHERE c.database = n.database AND c.view = n.view AND c.changed) AS changed_id
FROM (
  SELECT DISTINCT r.view FROM maintenance.matview_refresh AS r
  WHERE r.database = %(database)s::text
) AS v
CROSS JOIN LATERAL (
  SELECT r.* FROM maintenance.matview_refresh AS r
  WHERE r.database = %(database)s::text AND r.view = v.view
  ORDER BY r.id DESC LIMIT 1
) AS n
WHERE n.error IS NOT NULL
