-- list_outbound_keys: the foreign keys of a detached table, with the tables they lock when dropped
-- since: 14
-- params: child oid
-- columns: name text, schema text, referenced text
-- locks: none
-- source: PostgreSQL manual, 53.13 pg_constraint
SELECT f.conname::text AS name, n.nspname::text AS schema, c.relname::text AS referenced
FROM pg_catalog.pg_constraint f
JOIN pg_catalog.pg_class c ON c.oid = f.confrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE f.conrelid = %(child)s AND f.contype = 'f'
ORDER BY f.conname
