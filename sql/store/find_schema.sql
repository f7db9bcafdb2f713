-- find_schema: the session's role and the store's schema, with what changes when the schema itself does
-- since: 15
-- params:
-- columns: role text, version text, others_create bool
-- locks: none
-- source: PostgreSQL manual, 54.39 pg_namespace
SELECT current_user::text AS role, n.oid::text || ' ' || n.xmin::text AS version,
  EXISTS (
    SELECT FROM pg_catalog.aclexplode(n.nspacl) AS a
    WHERE a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
  ) AS others_create
FROM (SELECT) AS one
LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = 'maintenance'
