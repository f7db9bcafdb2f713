-- list_query_proofs: the last proof of each index since a moment: its queries' times before and after
-- since: 15
-- params: database text, since timestamptz
-- columns: object text, query text, parameters int4, taken_at timestamptz, before_ms float8[], after_ms float8[], is_replanned bool
-- locks: ACCESS SHARE on maintenance.query_measurement
-- source: sql/store/0023_query_measurements.sql
SELECT DISTINCT ON (a.object, a.query, a.parameters) a.object, a.query, a.parameters, a.taken_at,
  b.times_ms AS before_ms, a.times_ms AS after_ms,
  b.plan_digest IS DISTINCT FROM a.plan_digest AS is_replanned
FROM maintenance.query_measurement AS a
JOIN maintenance.query_measurement AS b
  ON b.database = a.database AND b.run_id = a.run_id AND b.object = a.object AND b.query = a.query
    AND b.parameters = a.parameters AND b.phase = 'before'
    AND b.taken_at >= %(since)s::timestamptz - interval '7 days'
WHERE a.database = %(database)s::text AND a.taken_at >= %(since)s::timestamptz AND a.phase = 'after'
  AND a.times_ms IS NOT NULL AND b.times_ms IS NOT NULL
ORDER BY a.object, a.query, a.parameters, a.taken_at DESC
