-- remove_invalidation: forget a cache invalidation that is done, or not needed
-- since: 15
-- params: database text, object text
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.invalidation
-- source: sql/store/0007_cache.sql
DELETE FROM maintenance.invalidation
WHERE database = %(database)s::text AND object = %(object)s::text
