-- add_cache_look: keep a look at the cache, and forget those older than so many days
-- since: 15
-- params: database text, kept_days int4, server_run text, version text, hits int8, misses int8, evicted int8, expired int8, used_memory_bytes int8, max_memory_bytes int8, n_keys int8, n_expiring int8
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.cache_look
-- source: sql/store/0007_cache.sql
WITH old AS (
  DELETE FROM maintenance.cache_look
  WHERE database = %(database)s::text
    AND seen_at < pg_catalog.clock_timestamp()
      - pg_catalog.make_interval(days => %(kept_days)s::int4)
)
INSERT INTO maintenance.cache_look
  (database, server_run, version, hits, misses, evicted, expired, used_memory_bytes,
   max_memory_bytes, n_keys, n_expiring)
VALUES
  (%(database)s::text, %(server_run)s::text, %(version)s::text, %(hits)s::int8, %(misses)s::int8,
   %(evicted)s::int8, %(expired)s::int8, %(used_memory_bytes)s::int8,
   %(max_memory_bytes)s::int8, %(n_keys)s::int8, %(n_expiring)s::int8)
