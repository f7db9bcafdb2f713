-- list_invalidations: the cache invalidations that are owed, oldest first
-- since: 15
-- params: database text
-- columns: object text, patterns text[], message jsonb, owed_at timestamptz, attempts int4, error text
-- locks: ACCESS SHARE on maintenance.invalidation
-- source: sql/store/0007_cache.sql
SELECT i.object, i.patterns, i.message, i.owed_at, i.attempts, i.error
FROM maintenance.invalidation AS i
WHERE i.database = %(database)s::text ORDER BY i.owed_at, i.object
