-- list_shared_properties: properties that all partitions of a parent share and LIKE does not copy, for the next one
-- since: 15
-- params: parents oid[]
-- columns: parent oid, options jsonb, access_method text, comment text, settings jsonb
-- locks: none
-- source: PostgreSQL manual, 53.11 pg_class, 53.7 pg_attribute, 53.19 pg_description
-- A single partition shares nothing, unless it has no lower bound: then it was the whole table, before
-- a conversion that has not made its next partitions yet. The default partition is left out: it has
-- another purpose.
WITH child AS MATERIALIZED (
  SELECT i.inhparent AS parent, c.oid, c.relam,
         pg_catalog.pg_get_expr(c.relpartbound, 0) AS bound,
         coalesce(c.reloptions::text, '{}') AS options,
         coalesce(t.reloptions::text, '{}') AS toast_options
    FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = i.inhparent
    LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
   WHERE i.inhparent = ANY (%(parents)s::oid[])
     AND c.relkind = 'r'
     AND NOT i.inhdetachpending
     AND c.oid <> p.partdefid
), family AS (
  SELECT c.parent, pg_catalog.count(*) AS n,
         CASE WHEN pg_catalog.min(c.options) = pg_catalog.max(c.options)
              THEN pg_catalog.min(c.options) END AS options,
         CASE WHEN pg_catalog.min(c.toast_options) = pg_catalog.max(c.toast_options)
              THEN pg_catalog.min(c.toast_options) END AS toast_options,
         CASE WHEN pg_catalog.min(c.relam) = pg_catalog.max(c.relam)
              THEN pg_catalog.min(c.relam) END AS relam
    FROM child c GROUP BY c.parent
    HAVING pg_catalog.count(*) > 1
        OR pg_catalog.starts_with(pg_catalog.min(c.bound), 'FOR VALUES FROM (MINVALUE)')
), setting AS MATERIALIZED (
  SELECT a.attrelid, a.attname, s.key, s.value
    FROM pg_catalog.pg_attribute a
   CROSS JOIN LATERAL (
     SELECT 'statistics' AS key, a.attstattarget::text AS value
      WHERE coalesce(a.attstattarget, -1) >= 0
     UNION ALL
     SELECT 'n_distinct', pg_catalog.split_part(o, '=', 2)
       FROM pg_catalog.unnest(a.attoptions) o WHERE pg_catalog.starts_with(o, 'n_distinct=')
   ) s
   WHERE a.attnum > 0 AND NOT a.attisdropped
     AND (coalesce(a.attstattarget, -1) >= 0 OR a.attoptions::text LIKE '%%n_distinct=%%')
), shared_setting AS (
  SELECT c.parent, s.attname, s.key, s.value, pg_catalog.count(*) AS n
    FROM setting s JOIN child c ON c.oid = s.attrelid
   GROUP BY c.parent, s.attname, s.key, s.value
), shared_comment AS (
  SELECT c.parent, d.description, pg_catalog.count(*) AS n
    FROM child c
    JOIN pg_catalog.pg_description d
      ON d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objsubid = 0
   -- a mark of ours is about one table, see ddl/marks.py
   WHERE d.description !~ '(^|\n)maintenance: \{'
   GROUP BY c.parent, d.description
)
SELECT
  f.parent,
  (SELECT pg_catalog.jsonb_agg(o.option)
     FROM (SELECT pg_catalog.unnest(f.options::text[]) AS option
           UNION ALL
           SELECT 'toast.' || pg_catalog.unnest(f.toast_options::text[])) o) AS options,
  (SELECT m.amname::text FROM pg_catalog.pg_am m WHERE m.oid = f.relam) AS access_method,
  (SELECT s.description FROM shared_comment s WHERE s.parent = f.parent AND s.n = f.n) AS comment,
  (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(s.attname, s.key, s.value)
                               ORDER BY s.attname, s.key)
     FROM shared_setting s WHERE s.parent = f.parent AND s.n = f.n) AS settings
FROM family f
