-- find_earlier_cache_look: the newest look at the same server of the cache that had no more lookups than so many
-- since: 15
-- params: database text, server_run text, most_lookups int8
-- columns: server_run text, version text, hits int8, misses int8, evicted int8, expired int8, used_memory_bytes int8, max_memory_bytes int8, n_keys int8, n_expiring int8
-- locks: ACCESS SHARE on maintenance.cache_look
-- source: sql/store/0007_cache.sql
SELECT c.server_run, c.version, c.hits, c.misses, c.evicted, c.expired, c.used_memory_bytes,
  c.max_memory_bytes, c.n_keys, c.n_expiring
FROM maintenance.cache_look AS c
WHERE c.database = %(database)s::text AND c.server_run = %(server_run)s::text
  AND c.hits + c.misses <= %(most_lookups)s::int8
ORDER BY c.seen_at DESC LIMIT 1
