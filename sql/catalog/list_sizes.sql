-- list_sizes: the disk size of relations in bytes, with indexes and TOAST
-- since: 15
-- params: schemas text[], names text[] (pairs)
-- columns: schema text, name text, size_bytes int8
-- locks: ACCESS SHARE on each relation
-- source: PostgreSQL manual, 9.28.7 Database Object Management Functions
SELECT w.schema, w.name, pg_catalog.pg_total_relation_size(c.oid) AS size_bytes
FROM ROWS FROM (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[])) AS w (schema, name)
JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
