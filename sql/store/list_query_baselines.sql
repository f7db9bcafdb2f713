-- list_query_baselines: of each declared query the newest plan before a moment, else the oldest one since its last proof
-- since: 15
-- params: database text, since timestamptz, until timestamptz, queries text[], text_digests text[], changed_at timestamptz[] (one of each query)
-- columns: query text, parameters int4, taken_at timestamptz, mode text, plan_digest text, plan jsonb, cost float8
-- locks: ACCESS SHARE on maintenance.query_measurement
-- source: sql/store/0023_query_measurements.sql
-- A build of an index changes plans on purpose, and so does a drop or an undo: older ones say nothing.
WITH wanted AS (
  SELECT w.query, w.text_digest, w.changed_at
  FROM ROWS FROM (
      pg_catalog.unnest(%(queries)s::text[]), pg_catalog.unnest(%(text_digests)s::text[]),
      pg_catalog.unnest(%(changed_at)s::timestamptz[])
    ) AS w (query, text_digest, changed_at)
), known AS (
  SELECT m.*,
    pg_catalog.max(m.taken_at) FILTER (WHERE m.phase = 'after')
      OVER (PARTITION BY m.query, m.parameters) AS proven_at
  FROM maintenance.query_measurement AS m
  JOIN wanted AS w ON w.query = m.query AND w.text_digest = m.text_digest
  WHERE m.database = %(database)s::text AND m.taken_at >= %(since)s::timestamptz
    AND m.phase <> 'before' AND m.plan_digest IS NOT NULL
    AND (w.changed_at IS NULL OR m.taken_at > w.changed_at)
)
SELECT DISTINCT ON (k.query, k.parameters) k.query, k.parameters, k.taken_at, k.mode,
  k.plan_digest, k.plan, k.cost
FROM known AS k
WHERE k.proven_at IS NULL OR k.taken_at >= k.proven_at
ORDER BY k.query, k.parameters, k.taken_at <= %(until)s::timestamptz DESC,
  CASE WHEN k.taken_at <= %(until)s::timestamptz THEN k.taken_at END DESC, k.taken_at
