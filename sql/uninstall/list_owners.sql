-- list_owners: who owns the tables with these names, as far as they exist
-- since: 15
-- params: schemas text[], names text[]
-- columns: schema text, name text, owner text
-- locks: none
-- source: PostgreSQL manual, 53.11 pg_class
SELECT n.nspname::text AS schema, c.relname::text AS name,
       pg_catalog.pg_get_userbyid(c.relowner)::text AS owner
FROM ROWS FROM (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[]))
  AS wanted (schema, name)
JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.schema
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
ORDER BY 1, 2
