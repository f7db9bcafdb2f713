-- list_query_relations: the relations that a query means by their names, with their owners
-- since: 15
-- params: schemas text[] (null where the path decides), names text[], path text[]
-- columns: place int8, oid oid, schema text, name text, kind text, owner text, is_superuser bool, pages int4, rows float4
-- locks: none
-- source: PostgreSQL manual, 53 System Catalogs
SELECT w.place, c.oid, c.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
  c.rolname::text AS owner, c.rolsuper AS is_superuser, c.relpages AS pages, c.reltuples AS rows
FROM ROWS FROM (
    pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[])
  ) WITH ORDINALITY AS w (schema, name, place)
CROSS JOIN LATERAL (
  SELECT r.oid, n.nspname, r.relname, r.relkind, o.rolname, o.rolsuper, r.relpages, r.reltuples
  FROM pg_catalog.pg_class AS r
  JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
  JOIN pg_catalog.pg_roles AS o ON o.oid = r.relowner
  WHERE r.relname = w.name::name AND r.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND n.nspname = ANY (CASE WHEN w.schema IS NULL THEN %(path)s::text[] ELSE ARRAY[w.schema] END)
  ORDER BY pg_catalog.array_position(%(path)s::text[], n.nspname::text)
  LIMIT 1
) AS c
ORDER BY w.place
