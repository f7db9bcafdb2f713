-- defer_invalidation: note that a cache invalidation failed
-- since: 15
-- params: database text, object text, error text
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.invalidation
-- source: sql/store/0007_cache.sql
UPDATE maintenance.invalidation SET attempts = attempts + 1, error = %(error)s::text
WHERE database = %(database)s::text AND object = %(object)s::text
