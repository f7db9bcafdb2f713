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
