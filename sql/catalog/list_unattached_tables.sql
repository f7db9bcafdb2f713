-- list_unattached_tables: tables in the given schemas with the columns of a partitioned parent that are not attached
-- since: 15
-- params: parents oid[], schemas text[] (pairs), most int8
-- columns: parent oid, oid oid, schema text, name text, comment text, pages int4
-- locks: none
-- source: PostgreSQL manual, 53.11 pg_class, 53.7 pg_attribute
-- Columns are read by table, through the index: those of the partitions are many and not needed.
WITH parent AS MATERIALIZED (
  SELECT p.oid,
         ARRAY(SELECT (a.attname, a.atttypid, a.atttypmod)::text
                 FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = p.oid AND a.attnum > 0 AND NOT a.attisdropped
                ORDER BY a.attname) AS columns
    FROM pg_catalog.pg_class p
   WHERE p.oid = ANY (%(parents)s::oid[])
), home AS MATERIALIZED (
  SELECT w.parent, n.oid AS relnamespace
    FROM ROWS FROM (pg_catalog.unnest(%(parents)s::oid[]), pg_catalog.unnest(%(schemas)s::text[])) AS w (parent, schema)
    JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema
), beside AS MATERIALIZED (
  SELECT c.oid, c.relnamespace
    FROM pg_catalog.pg_class c
   WHERE c.relkind IN ('r', 'p')
     AND c.relpersistence <> 't'
     AND NOT c.relispartition
     AND c.oid <> ALL (%(parents)s::oid[])
     AND c.relnamespace IN (SELECT h.relnamespace FROM home h)
), shape AS MATERIALIZED (
  SELECT b.oid, b.relnamespace,
         ARRAY(SELECT (a.attname, a.atttypid, a.atttypmod)::text
                 FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = b.oid AND a.attnum > 0 AND NOT a.attisdropped
                ORDER BY a.attname) AS columns
    FROM beside b
)
SELECT
  p.oid AS parent,
  c.oid,
  n.nspname::text AS schema,
  c.relname::text AS name,
  pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
  c.relpages AS pages
FROM parent p
JOIN home h ON h.parent = p.oid
JOIN shape s ON s.relnamespace = h.relnamespace AND s.columns = p.columns
JOIN pg_catalog.pg_class c ON c.oid = s.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY c.relname
LIMIT %(most)s
