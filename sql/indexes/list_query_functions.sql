-- list_query_functions: functions that a query may mean: the volatile, and those of other roles
-- since: 15
-- params: schemas text[] (null where the path decides), names text[], are_operators bool[], path text[]
-- columns: place int8, signature text, is_volatile bool, owner text, is_superuser bool
-- locks: none
-- source: PostgreSQL manual, 53 System Catalogs
WITH wanted AS (
  SELECT w.place, w.name::name AS name, w.is_operator,
    CASE WHEN w.schema IS NULL THEN %(path)s::text[] ELSE ARRAY[w.schema] END AS schemas
  FROM ROWS FROM (
      pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[]),
      pg_catalog.unnest(%(are_operators)s::bool[])
    ) WITH ORDINALITY AS w (schema, name, is_operator, place)
), called AS (
  SELECT w.place, f.oid, f.provolatile = 'v' AS is_volatile
  FROM wanted AS w
  JOIN pg_catalog.pg_proc AS f ON f.proname = w.name
  JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
  WHERE NOT w.is_operator AND n.nspname = ANY (w.schemas)
  UNION
  SELECT w.place, o.oprcode, false
  FROM wanted AS w
  JOIN pg_catalog.pg_operator AS o ON o.oprname = w.name AND o.oprcode <> 0
  JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
  WHERE w.is_operator AND n.nspname = ANY (w.schemas)
)
SELECT c.place, c.oid::regprocedure::text AS signature, c.is_volatile,
  r.rolname::text AS owner, r.rolsuper AS is_superuser
FROM called AS c
JOIN pg_catalog.pg_proc AS f ON f.oid = c.oid
JOIN pg_catalog.pg_roles AS r ON r.oid = f.proowner
WHERE c.is_volatile OR NOT r.rolsuper
ORDER BY c.place, signature
