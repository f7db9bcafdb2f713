-- list_unattached_tables: tables beside a partitioned parent that have its columns and are no partition
-- since: 15
-- params: parents oid[], most int8
-- columns: parent oid, oid oid, schema text, name text, comment text, pages int4
-- locks: none
-- source: PostgreSQL manual, 53.11 pg_class, 53.7 pg_attribute
-- Columns are read by table, through the index: the partitions' are many, and not asked for.
WITH parent AS MATERIALIZED (
  SELECT p.oid, p.relnamespace,
         ARRAY(SELECT (a.attname, a.atttypid, a.atttypmod)::text
                 FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = p.oid AND a.attnum > 0 AND NOT a.attisdropped
                ORDER BY a.attname) AS columns
    FROM pg_catalog.pg_class p
   WHERE p.oid = ANY (%(parents)s::oid[])
), home AS MATERIALIZED (
  -- partitions may live in another schema than their parent
  SELECT p.oid AS parent, p.relnamespace FROM parent p
  UNION
  SELECT k.parent, c.relnamespace
    FROM (SELECT i.inhparent AS parent, pg_catalog.min(i.inhrelid) AS first, pg_catalog.max(i.inhrelid) AS last
            FROM pg_catalog.pg_inherits i
           WHERE i.inhparent = ANY (%(parents)s::oid[])
           GROUP BY i.inhparent) k
    JOIN pg_catalog.pg_class c ON c.oid IN (k.first, k.last)
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
