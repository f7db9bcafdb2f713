-- list_names: those of the given names that a relation or composite type already has
-- since: 15
-- params: schemas text[], names text[] (pairs)
-- columns: schema text, name text, kind text
-- locks: none
-- source: PostgreSQL manual, 53.11 pg_class, 53.64 pg_type
SELECT w.schema, w.name, coalesce(c.relkind::text, 'T') AS kind
FROM ROWS FROM (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[])) AS w (schema, name)
JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema
LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
LEFT JOIN pg_catalog.pg_type t ON t.typnamespace = n.oid AND t.typname = w.name
WHERE c.oid IS NOT NULL OR t.oid IS NOT NULL
