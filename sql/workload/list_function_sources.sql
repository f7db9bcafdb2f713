-- list_function_sources: the sources of functions, and which ones expressions of indexes and statistics use
-- since: 15
-- params:
-- columns: name text, source text, is_sampled bool
-- locks: none
-- source: PostgreSQL manual, 53.18 pg_depend, 53.39 pg_proc; 25.1.3 Updating Planner Statistics
-- ANALYZE evaluates these expressions for each row of its sample. Autovacuum does that outside of any
-- statement, so what their functions run is counted as if an application had sent it. Nothing is
-- listed in a database without such functions.
WITH sampled AS MATERIALIZED (
  SELECT DISTINCT d.refobjid AS oid
  FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
    AND d.classid IN ('pg_catalog.pg_class'::pg_catalog.regclass,
                      'pg_catalog.pg_statistic_ext'::pg_catalog.regclass)
    AND l.lanname NOT IN ('internal', 'c')
)
SELECT
  p.proname::text AS name,
  p.prosrc AS source,
  p.oid IN (SELECT s.oid FROM sampled s) AS is_sampled
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE EXISTS (SELECT FROM sampled)
  AND l.lanname NOT IN ('internal', 'c')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND p.prosrc <> ''
  AND pg_catalog.length(p.prosrc) <= 100000
ORDER BY 3 DESC, p.oid
LIMIT 5000
