-- list_parents_to_compare: parents whose partitions may differ from it or from each other
-- since: 15
-- params: parents oid[]
-- columns: parent oid
-- locks: none
-- source: PostgreSQL manual, 53 System Catalogs
-- A coarse filter before list_partition_differences, for properties outside pg_class: usually there
-- are none that could differ. It must find every parent that list_partition_differences would.
WITH child AS MATERIALIZED (
  SELECT i.inhparent AS parent, pg_catalog.min(i.inhrelid) AS first,
         pg_catalog.percentile_disc(0.5) WITHIN GROUP (ORDER BY i.inhrelid) AS middle,
         pg_catalog.max(i.inhrelid) AS last
    FROM pg_catalog.pg_inherits i
   WHERE i.inhparent = ANY (%(parents)s::oid[])
   GROUP BY i.inhparent
), related AS (
  SELECT d.objoid AS oid
    FROM pg_catalog.pg_description d
   WHERE d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
     AND d.description !~ '^maintenance: \{'
  UNION ALL SELECT r.prrelid FROM pg_catalog.pg_publication_rel r
  UNION ALL SELECT p.polrelid FROM pg_catalog.pg_policy p
)
SELECT i.inhparent AS parent
  FROM related r
  JOIN pg_catalog.pg_inherits i ON i.inhrelid = r.oid
 WHERE i.inhparent = ANY (%(parents)s::oid[])
UNION
SELECT p.polrelid FROM pg_catalog.pg_policy p
 WHERE p.polrelid = ANY (%(parents)s::oid[])
UNION
SELECT e.stxrelid FROM pg_catalog.pg_statistic_ext e
 WHERE e.stxrelid = ANY (%(parents)s::oid[])
UNION
SELECT x.indrelid FROM pg_catalog.pg_index x
 WHERE x.indrelid = ANY (%(parents)s::oid[]) AND NOT x.indisvalid
UNION
SELECT c.parent
  FROM child c
 CROSS JOIN LATERAL pg_catalog.unnest(ARRAY[c.first, c.middle, c.last]) AS s (oid)
 CROSS JOIN LATERAL (
   SELECT FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = s.oid
      AND coalesce(a.attstattarget, -1) >= 0 AND a.attnum > 0 AND NOT a.attisdropped
   OFFSET 0) a
