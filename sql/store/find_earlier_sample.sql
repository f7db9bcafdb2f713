-- find_earlier_sample: the newest sample of the same Redis server before a moment with fewer lookups
-- since: 15
-- params: database text, redis_run text, before timestamptz, most_lookups int8
-- columns: redis_hits int8, redis_misses int8
-- locks: ACCESS SHARE on maintenance.sample
-- source: sql/store/0019_samples.sql
SELECT s.redis_hits, s.redis_misses
FROM maintenance.sample AS s
WHERE s.database = %(database)s::text AND s.redis_run = %(redis_run)s::text
  AND s.taken_at <= %(before)s::timestamptz
  AND s.taken_at > %(before)s::timestamptz - interval '1 day'
  AND s.redis_hits + s.redis_misses <= %(most_lookups)s::int8
ORDER BY s.taken_at DESC LIMIT 1
