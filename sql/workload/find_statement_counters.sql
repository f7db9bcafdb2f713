-- find_statement_counters: whether pg_stat_statements can be read without an error, one row
-- since: 15
-- params: schema text
-- columns: is_loaded bool, is_current bool, may_use bool, may_read bool, may_call bool, columns text[]
-- locks: none
-- source: PostgreSQL manual, F.32 pg_stat_statements, 20.16 Customized Options, 54.24 pg_settings
-- A refused statement would be an ERROR in the server's log at each observation. The library defines
-- its settings only if the server loaded it at its start; without it, those that a configuration file
-- mentions are placeholders, which pg_settings does not list. A view that needs no function of the
-- library needs no library. Extensions of before version 1.9 have no pg_stat_statements_info.
SELECT
  s.is_loaded,
  v.info IS NOT NULL AS is_current,
  v.may_use,
  coalesce(pg_catalog.has_table_privilege(v.entries, 'SELECT')
           AND pg_catalog.has_table_privilege(v.info, 'SELECT'), false) AS may_read,
  s.may_call,
  ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = v.entries AND a.attnum > 0 AND NOT a.attisdropped) AS columns
FROM (
  SELECT
    pg_catalog.has_schema_privilege(%(schema)s::text, 'USAGE') AS may_use,
    (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = %(schema)s::text AND c.relname = 'pg_stat_statements') AS entries,
    (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = %(schema)s::text AND c.relname = 'pg_stat_statements_info') AS info
) v
CROSS JOIN (
  SELECT
    coalesce(pg_catalog.bool_and(pg_catalog.has_function_privilege(p.oid, 'EXECUTE')), true)
      AS may_call,
    pg_catalog.count(*) = 0 OR EXISTS (
      SELECT FROM pg_catalog.pg_settings t WHERE t.name = 'pg_stat_statements.max') AS is_loaded
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  WHERE n.nspname = %(schema)s::text AND l.lanname = 'c'
    AND p.proname IN ('pg_stat_statements', 'pg_stat_statements_info')
) s
