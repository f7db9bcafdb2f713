-- list_named: those of the given relations that exist, with their current names
-- since: 15
-- params: relations oid[]
-- columns: oid oid, schema text, name text
-- locks: none
-- source: PostgreSQL manual, 53.11 pg_class
SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(relations)s::oid[])
