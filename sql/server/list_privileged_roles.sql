-- list_privileged_roles: the roles in which membership is never proposed, one row
-- since: 15
-- params:
-- columns: superusers text[], administrators text[]
-- locks: none
-- source: PostgreSQL manual, 22.2 Role Attributes, 22.5 Predefined Roles
-- Administrators are no superusers, but may create roles, grant predefined ones, or read and write
-- files and run programs of the server; and the members of such roles and of superusers.
WITH privileged AS (
  SELECT r.oid
  FROM pg_catalog.pg_roles AS r
  WHERE r.rolsuper OR r.rolcreaterole
    OR r.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
    OR EXISTS (SELECT FROM pg_catalog.pg_auth_members AS m
               JOIN pg_catalog.pg_roles AS p ON p.oid = m.roleid
               WHERE m.member = r.oid AND m.admin_option AND p.rolname ~ '^pg_')
)
SELECT
  ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles AS r WHERE r.rolsuper) AS superusers,
  ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles AS r
        WHERE NOT r.rolsuper
          AND EXISTS (SELECT FROM privileged AS p
                      WHERE pg_catalog.pg_has_role(r.oid, p.oid, 'MEMBER'))) AS administrators
