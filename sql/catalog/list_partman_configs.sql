-- list_partman_configs: the configuration tables of pg_partman, with the columns that can be read
-- since: 15
-- params:
-- columns: schema text, name text, names text[], readable bool
-- locks: none
-- source: https://github.com/pgpartman/pg_partman/blob/master/sql/tables/tables.sql
-- Found by name and columns: the extension can be installed in any schema, or from its SQL alone.
-- Only columns of built-in types are listed, so that reading them runs no code of the table's owner.
SELECT
  n.nspname::text AS schema,
  c.relname::text AS name,
  known.names,
  pg_catalog.has_schema_privilege(n.oid, 'USAGE')
    AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
    AND NOT (c.relrowsecurity AND pg_catalog.row_security_active(c.oid)) AS readable
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
  SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) AS names
    FROM pg_catalog.pg_attribute a
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     AND a.atttypid IN ('text'::pg_catalog.regtype, 'int4'::pg_catalog.regtype,
                        'bool'::pg_catalog.regtype)
) known
WHERE c.relname = 'part_config'
  AND c.relkind = 'r'
  AND c.relpersistence = 'p'
  AND known.names @> ARRAY['parent_table', 'control', 'partition_interval', 'premake', 'retention',
                           'automatic_maintenance']
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_locks l
     WHERE l.locktype = 'relation' AND l.relation = c.oid AND l.mode = 'AccessExclusiveLock')
ORDER BY 1
