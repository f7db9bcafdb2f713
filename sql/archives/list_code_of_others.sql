-- list_code_of_others: the given names that belong to functions, operators, operator classes or types of other roles
-- since: 15
-- params: schemas text[], names text[]
-- columns: what text
-- locks: none
-- source: PostgreSQL manual, 53 System Catalogs
-- Other roles are all except superusers and our role: extensions belong to superusers.
WITH wanted AS (
  SELECT n.oid AS namespace, w.schema, w.name
    FROM ROWS FROM (pg_catalog.unnest(%(schemas)s::pg_catalog.text[]),
                    pg_catalog.unnest(%(names)s::pg_catalog.text[])) AS w (schema, name)
    JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema
), found AS (
  SELECT w.schema, w.name, f.proowner AS owner
    FROM wanted w JOIN pg_catalog.pg_proc f ON f.pronamespace = w.namespace AND f.proname = w.name
   UNION
  SELECT w.schema, w.name, r.owner
    FROM wanted w
    JOIN pg_catalog.pg_operator o ON o.oprnamespace = w.namespace AND o.oprname = w.name
    JOIN pg_catalog.pg_proc f ON f.oid = o.oprcode
   CROSS JOIN LATERAL (VALUES (o.oprowner), (f.proowner)) AS r (owner)
   UNION
  SELECT w.schema, w.name, c.opcowner
    FROM wanted w
    JOIN pg_catalog.pg_opclass c ON c.opcnamespace = w.namespace AND c.opcname = w.name
   UNION
  SELECT w.schema, w.name, t.typowner
    FROM wanted w
    JOIN pg_catalog.pg_type t ON t.typnamespace = w.namespace AND t.typname = w.name
   WHERE t.typtype <> 'e'  -- nothing of an enum is evaluated
)
SELECT DISTINCT pg_catalog.concat_ws('.', pg_catalog.quote_ident(f.schema), pg_catalog.quote_ident(f.name)) AS what
FROM found f
JOIN pg_catalog.pg_roles u ON u.oid = f.owner
WHERE NOT u.rolsuper AND u.rolname <> current_user
ORDER BY 1
