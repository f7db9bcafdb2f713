-- list_taken_names: which of the given names of relations are taken
-- since: 15
-- params: names text[]
-- columns: schema text, name text
-- locks: none
-- source: PostgreSQL manual, 53.11 pg_class
SELECT n.nspname::text AS schema, c.relname::text AS name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = ANY (%(names)s::name[])
