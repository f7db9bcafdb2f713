-- list_partition_roots: the partitioned table or index of those relations that are parts of one
-- since: 15
-- params: schemas text[], names text[]
-- columns: schema text, name text, root_schema text, root_name text
-- locks: none
-- source: PostgreSQL manual, 9.28.7 Partitioning Information Functions
SELECT n.nspname::text AS schema, c.relname::text AS name, rn.nspname::text AS root_schema,
  r.relname::text AS root_name
FROM ROWS FROM (
    pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[])
  ) AS w (schema, name)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema::name
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.name::name
JOIN pg_catalog.pg_class AS r ON r.oid = pg_catalog.pg_partition_root(c.oid)
JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.relnamespace
WHERE c.relispartition AND c.relkind IN ('r', 'p', 'i', 'I', 'f')
