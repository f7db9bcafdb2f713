-- list_schema_rights: whether an owner's tables can be created in a schema, and which roles get default privileges
-- since: 15
-- params: schemas text[], owners text[] (pairs)
-- columns: schema text, owner text, found bool, creatable bool, grantees jsonb
-- locks: none
-- source: PostgreSQL manual, 53.32 pg_namespace, 53.17 pg_default_acl
SELECT
  w.schema,
  w.owner,
  n.oid IS NOT NULL AS found,
  coalesce(
    pg_catalog.has_schema_privilege(n.oid, 'CREATE') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
    AND (pg_catalog.has_schema_privilege(o.oid, n.oid, 'CREATE')
         OR (SELECT u.rolsuper FROM pg_catalog.pg_roles u WHERE u.rolname = current_user)),
    false) AS creatable,
  (SELECT pg_catalog.jsonb_agg(DISTINCT r.rolname)
     FROM pg_catalog.pg_default_acl d
    CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) g
     LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee
    WHERE d.defaclobjtype = 'r'
      AND d.defaclrole = (SELECT u.oid FROM pg_catalog.pg_roles u WHERE u.rolname = current_user)
      AND d.defaclnamespace IN (0, n.oid)
      AND g.grantee NOT IN (d.defaclrole, o.oid)) AS grantees
FROM ROWS FROM (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(owners)s::text[])) AS w (schema, owner)
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema
LEFT JOIN pg_catalog.pg_roles o ON o.rolname = w.owner
