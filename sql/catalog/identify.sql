-- identify: database, role, clock and rights of the session, one row
-- since: 15
-- params:
-- columns: database text, role text, is_superuser bool, in_recovery bool, server_now timestamptz, encoding text, monitors bool
-- locks: none
-- source: PostgreSQL manual, 9.27 System Information Functions
SELECT
  pg_catalog.current_database()::text AS database,
  current_user::text AS role,
  (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) AS is_superuser,
  pg_catalog.pg_is_in_recovery() AS in_recovery,
  pg_catalog.clock_timestamp() AS server_now,
  pg_catalog.getdatabaseencoding()::text AS encoding,
  pg_catalog.pg_has_role('pg_monitor', 'USAGE') AS monitors
