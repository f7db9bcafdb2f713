-- list_partitioned: all partitioned tables of the database that are no partitions themselves
-- since: 15
-- params:
-- columns: schema text, name text, strategy text, partition_key text
-- locks: none
-- source: PostgreSQL manual, 53.35 pg_partitioned_table
-- The key is shown only of tables that are not locked in ACCESS EXCLUSIVE mode, because reading it
-- would wait.
SELECT
  n.nspname::text AS schema,
  c.relname::text AS name,
  p.partstrat::text AS strategy,
  CASE WHEN NOT EXISTS (
         SELECT FROM pg_catalog.pg_locks l
          WHERE l.locktype = 'relation' AND l.relation = c.oid AND l.mode = 'AccessExclusiveLock')
       THEN pg_catalog.pg_get_partkeydef(c.oid) END AS partition_key
FROM pg_catalog.pg_partitioned_table p
JOIN pg_catalog.pg_class c ON c.oid = p.partrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT c.relispartition
  AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'maintenance')
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
     WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
       AND d.deptype = 'e')
ORDER BY 1, 2
