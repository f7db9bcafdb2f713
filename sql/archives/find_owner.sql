-- find_owner: the owner of a schema, and whether we may act as that role, one row; none if there is no such schema
-- since: 15
-- params: schema text
-- columns: owner text, is_ours bool
-- locks: none
-- source: PostgreSQL manual, 9.26 System Information Functions
SELECT
  pg_catalog.pg_get_userbyid(n.nspowner)::text AS owner,
  pg_catalog.pg_has_role(n.nspowner, 'MEMBER')
    AND NOT coalesce((SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.oid = n.nspowner), false)
    AND pg_catalog.pg_get_userbyid(n.nspowner) <> 'pg_database_owner' AS is_ours
FROM pg_catalog.pg_namespace n
WHERE n.nspname = %(schema)s
