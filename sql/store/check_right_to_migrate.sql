-- check_right_to_migrate: whether the schema of the store stands or may be made, and by whom in which database
-- since: 15
-- params:
-- columns: database text, role text, granted bool
-- locks: none
-- source: PostgreSQL manual, 9.27.2 Access Privilege Inquiry Functions
SELECT pg_catalog.quote_ident(pg_catalog.current_database()) AS database,
  pg_catalog.quote_ident(current_user) AS role,
  pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')
    OR EXISTS (
      SELECT FROM pg_catalog.pg_namespace AS n
      WHERE n.nspname = 'maintenance' AND pg_catalog.has_schema_privilege(n.oid, 'CREATE')
    ) AS granted
