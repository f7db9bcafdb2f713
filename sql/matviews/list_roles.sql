-- list_roles: whether roles exist, and whether this role has their rights in a schema
-- since: 15
-- params: roles text[], schemas text[]
-- columns: name text, may_act bool, creates_in text[]
-- locks: none
-- source: PostgreSQL manual, 22.3 Role Membership
SELECT
  r.rolname::pg_catalog.text AS name,
  pg_catalog.pg_has_role(r.oid, 'USAGE')
    AND CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 160000
      THEN pg_catalog.pg_has_role(r.oid, 'SET') ELSE true END AS may_act,
  ARRAY(SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_namespace AS n
        WHERE n.nspname = ANY (%(schemas)s::pg_catalog.text[])
          AND (pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE')
            OR pg_catalog.current_setting('is_superuser') = 'on')) AS creates_in
FROM pg_catalog.pg_roles AS r
WHERE r.rolname = ANY (%(roles)s::pg_catalog.text[])
