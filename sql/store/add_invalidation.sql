-- add_invalidation: note a cache invalidation that is owed, together with what is owed of its object already
-- since: 15
-- params: database text, object text, patterns text[], message jsonb
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.invalidation
-- source: sql/store/0007_cache.sql
INSERT INTO maintenance.invalidation AS i (database, object, patterns, message)
VALUES (%(database)s::text, %(object)s::text, %(patterns)s::text[], %(message)s::jsonb)
ON CONFLICT (database, object) DO UPDATE SET
  message = excluded.message,
  patterns = ARRAY(
    SELECT DISTINCT p.pattern
    FROM pg_catalog.unnest(i.patterns || excluded.patterns) AS p (pattern) ORDER BY 1)
