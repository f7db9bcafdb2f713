-- list_upserting_functions: the sources of functions that use ON CONFLICT and name a table
-- since: 15
-- params: table text
-- columns: name text, source text
-- locks: none
-- source: PostgreSQL manual, 53.39 pg_proc
SELECT p.proname::text AS name, p.prosrc AS source
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND pg_catalog.length(p.prosrc) <= 100000
   AND p.prosrc ILIKE '%%on conflict%%'
   AND p.prosrc ILIKE %(table)s
 ORDER BY p.oid
 LIMIT 1000
