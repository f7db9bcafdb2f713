-- add_query_measurements: keep plans of declared queries; nightly ones unless some are newer than a moment
-- since: 15
-- params: taken_at timestamptz, after timestamptz, database text, run_id text, phase text, object text, measurements jsonb (query, text_digest, parameters, mode, plan_digest, plan, cost, times_ms, blocks, failure of each)
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.query_measurement
-- source: sql/store/0023_query_measurements.sql
INSERT INTO maintenance.query_measurement
  (taken_at, database, run_id, phase, object, query, text_digest, parameters, mode, plan_digest,
   plan, cost, times_ms, blocks, failure)
SELECT %(taken_at)s::timestamptz, %(database)s::text, %(run_id)s::text::uuid, %(phase)s::text,
  %(object)s::text, r.query, r.text_digest, r.parameters, r.mode, r.plan_digest, r.plan, r.cost,
  r.times_ms, r.blocks, r.failure
FROM pg_catalog.jsonb_to_recordset(%(measurements)s::jsonb)
  AS r (query text, text_digest text, parameters int4, mode text, plan_digest text, plan jsonb,
        cost float8, times_ms float8[], blocks int8, failure text)
WHERE %(phase)s::text <> 'nightly' OR NOT EXISTS (
  SELECT FROM maintenance.query_measurement AS m
  WHERE m.database = %(database)s::text AND m.phase = 'nightly' AND m.query = r.query
    AND m.text_digest = r.text_digest AND m.parameters = r.parameters
    AND m.taken_at > %(after)s::timestamptz AND m.taken_at <= %(taken_at)s::timestamptz)
