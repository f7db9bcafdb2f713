-- find_pool_peak: the sample in which the largest share of the usable connections was in use
-- since: 15
-- params: database text, since timestamptz
-- columns: at timestamptz, n_connections int4, n_usable int4
-- locks: ACCESS SHARE on maintenance.sample
-- source: sql/store/0019_samples.sql
SELECT s.taken_at AS at, s.n_connections, s.n_usable
FROM maintenance.sample AS s
WHERE s.database = %(database)s::text AND s.taken_at >= %(since)s::timestamptz
ORDER BY s.n_connections::float8 / s.n_usable DESC, s.taken_at DESC LIMIT 1
