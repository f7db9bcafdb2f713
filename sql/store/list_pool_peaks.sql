-- list_pool_peaks: of each day, the sample with the largest share of the connections in use
-- since: 15
-- params: database text, since timestamptz, until timestamptz
-- columns: taken_at timestamptz, n_connections int4, n_usable int4
-- locks: ACCESS SHARE on maintenance.sample
-- source: sql/store/0019_samples.sql
SELECT DISTINCT ON (pg_catalog.date_trunc('day', s.taken_at, 'UTC'))
  s.taken_at, s.n_connections, s.n_usable
FROM maintenance.sample AS s
WHERE s.database = %(database)s::text AND s.taken_at >= %(since)s::timestamptz
  AND s.taken_at < %(until)s::timestamptz
ORDER BY pg_catalog.date_trunc('day', s.taken_at, 'UTC'),
         s.n_connections::float8 / s.n_usable DESC, s.taken_at
