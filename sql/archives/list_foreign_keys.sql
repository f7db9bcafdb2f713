-- list_foreign_keys: the foreign keys of a table
-- since: 15
-- params: relation text (quoted, qualified name)
-- columns: name text, definition text, schema text, referenced text
-- locks: none
-- source: PostgreSQL manual, 53.13 pg_constraint
-- A key that references a partitioned table has a copy for each partition; copies have a parent.
SELECT
  f.conname::text AS name,
  pg_catalog.pg_get_constraintdef(f.oid) AS definition,
  n.nspname::text AS schema,
  c.relname::text AS referenced
FROM pg_catalog.pg_constraint f
JOIN pg_catalog.pg_class c ON c.oid = f.confrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE f.conrelid = pg_catalog.to_regclass(%(relation)s) AND f.contype = 'f' AND f.conparentid = 0
ORDER BY f.conname
