-- sum_query_executions: how often runs planned or executed declared queries since a moment, at most
-- since: 15
-- params: database text, since timestamptz
-- columns: n int8
-- locks: ACCESS SHARE on maintenance.query_measurement
-- source: sql/store/0023_query_measurements.sql
-- A plan can read both ends of an index; twelve is more than one look plans of a query.
SELECT coalesce(pg_catalog.sum(pg_catalog.cardinality(coalesce(m.times_ms, '{}')) + 12), 0)::int8 AS n
FROM maintenance.query_measurement AS m
WHERE m.database = %(database)s::text AND m.taken_at >= %(since)s::timestamptz
