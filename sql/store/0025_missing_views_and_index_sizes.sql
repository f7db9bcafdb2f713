-- As before, but a view that does not exist is to be mended; it used to be left alone.
CREATE OR REPLACE FUNCTION maintenance.get_mv_refresh_recommendations()
RETURNS TABLE (database text, view text, recommendation text, reason text, as_of timestamptz,
               refreshed_at timestamptz, took interval, changed boolean)
LANGUAGE sql STABLE
BEGIN ATOMIC
  WITH newest AS (
    SELECT DISTINCT ON (r.database, r.view) r.*
    FROM maintenance.matview_refresh r ORDER BY r.database, r.view, r.id DESC
  ), good AS (
    SELECT DISTINCT ON (r.database, r.view) r.*
    FROM maintenance.matview_refresh r WHERE r.error IS NULL
    ORDER BY r.database, r.view, r.id DESC
  ), look AS (
    SELECT DISTINCT ON (r.database) r.database, r.id
    FROM maintenance.run r WHERE 'matview_stale' = ANY (r.kinds)
    ORDER BY r.database, r.started_at DESC
  ), found AS (
    SELECT l.database, f.object,
           pg_catalog.min(f.message) FILTER (WHERE f.kind = 'matview_missing') AS missing,
           pg_catalog.min(f.message) FILTER (WHERE f.kind <> 'matview_missing') AS stale
    FROM look l JOIN maintenance.finding f ON f.run_id = l.id
    WHERE f.kind IN ('matview_stale', 'matview_unpopulated', 'matview_missing')
    GROUP BY l.database, f.object
  )
  SELECT
    n.database,
    n.view,
    CASE WHEN f.missing IS NOT NULL OR n.error IS NOT NULL THEN 'mend'
         WHEN f.stale IS NOT NULL THEN 'refresh' ELSE 'leave' END,
    coalesce(f.missing, n.error, f.stale, n.reason),
    greatest(g.as_of, g.proven_as_of),
    g.ended_at,
    g.ended_at - g.started_at,
    g.changed
  FROM newest n
  LEFT JOIN good g ON g.database = n.database AND g.view = n.view
  LEFT JOIN found f ON f.database = n.database AND f.object = n.view
  ORDER BY n.database, n.view;
END;

-- As before, but the size of an index whose table was never vacuumed or analyzed is that of its file:
-- its relpages are those of an empty index.
CREATE OR REPLACE VIEW maintenance.index_effectiveness AS
SELECT
  u.schemaname AS schema_name,
  u.relname AS table_name,
  u.indexrelname AS index_name,
  u.idx_scan AS scans,
  u.idx_tup_read AS entries_read,
  u.idx_tup_fetch AS rows_fetched,
  CASE WHEN t.reltuples < 0 THEN pg_catalog.pg_relation_size(u.indexrelid)
       ELSE c.relpages::bigint * 8192 END AS size_bytes,
  i.indisunique AS is_unique,
  i.indisvalid AS is_valid,
  b.fraction AS bloat,
  b.method AS bloat_method,
  b.taken_at AS bloat_taken_at
FROM pg_catalog.pg_stat_user_indexes u
JOIN pg_catalog.pg_index i ON i.indexrelid = u.indexrelid
JOIN pg_catalog.pg_class c ON c.oid = u.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = u.relid
LEFT JOIN LATERAL (
  SELECT o.fraction, o.method, o.taken_at FROM maintenance.bloat o
  WHERE o.kind = 'index'
    AND o.object = pg_catalog.format('%I.%I', u.schemaname, u.indexrelname)
  ORDER BY o.taken_at DESC LIMIT 1) b ON true
WHERE u.schemaname <> 'maintenance';
