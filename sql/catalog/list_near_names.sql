-- list_near_names: every table of the database but our own, to suggest names
-- since: 15
-- params:
-- columns: schema text, name text
-- locks: none
-- source: PostgreSQL manual, 53.11 pg_class
SELECT n.nspname::text AS schema, c.relname::text AS name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT c.relispartition
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'maintenance')
  AND n.nspname NOT LIKE 'pg\_t%'
ORDER BY 1, 2
LIMIT 10000
