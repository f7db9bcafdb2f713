-- find_extension: the schema of an extension, whether it is available, and whether this role may use it
-- since: 15
-- params: name text
-- columns: schema text, is_available bool, is_loaded bool, role text, sees_all bool, scans_all bool
-- locks: none
-- source: PostgreSQL manual, 53.22 pg_extension, 22.5 Predefined Roles
SELECT
  (SELECT n.nspname::text FROM pg_catalog.pg_extension e
   JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
   WHERE e.extname = %(name)s::text) AS schema,
  EXISTS (SELECT FROM pg_catalog.pg_available_extensions a
          WHERE a.name = %(name)s::text) AS is_available,
  -- of pg_stat_statements, which works only if its library was preloaded
  EXISTS (SELECT FROM pg_catalog.pg_settings s
          WHERE s.name = %(name)s::text || '.max') AS is_loaded,
  pg_catalog.quote_ident(current_user) AS role,
  pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all,
  pg_catalog.pg_has_role('pg_stat_scan_tables', 'USAGE') AS scans_all
