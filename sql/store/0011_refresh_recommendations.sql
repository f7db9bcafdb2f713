-- Which materialized views to refresh, by the last look and the ledger: reads the store only.
CREATE FUNCTION maintenance.get_mv_refresh_recommendations()
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
  ), stale AS (
    SELECT l.database, f.object, pg_catalog.min(f.message) AS message
    FROM look l JOIN maintenance.finding f ON f.run_id = l.id
    WHERE f.kind IN ('matview_stale', 'matview_unpopulated')
    GROUP BY l.database, f.object
  )
  SELECT
    n.database,
    n.view,
    CASE WHEN n.error IS NOT NULL THEN 'mend' WHEN s.object IS NOT NULL THEN 'refresh' ELSE 'leave' END,
    coalesce(n.error, s.message, n.reason),
    greatest(g.as_of, g.proven_as_of),
    g.ended_at,
    g.ended_at - g.started_at,
    g.changed
  FROM newest n
  LEFT JOIN good g ON g.database = n.database AND g.view = n.view
  LEFT JOIN stale s ON s.database = n.database AND s.object = n.view
  ORDER BY n.database, n.view;
END;
