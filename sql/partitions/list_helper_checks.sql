-- list_helper_checks: our CHECKs on a table, with its current name
-- since: 15
-- params: relation oid
-- columns: schema text, relation text, name text
-- locks: none
-- source: PostgreSQL manual, 53.13 pg_constraint
SELECT n.nspname::text AS schema, c.relname::text AS relation, k.conname::text AS name
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.conrelid = %(relation)s
  AND k.contype = 'c'
  AND k.conname::text ~ '^maintenance_((not|only)_[0-9_]+|restored_bounds|restoring_away)$'
ORDER BY k.conname
