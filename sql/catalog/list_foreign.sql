-- list_foreign: the foreign tables that a query on the given relations would read
-- since: 15
-- params: relations oid[]
-- columns: oid oid, schema text, name text, server text
-- locks: none
-- source: PostgreSQL manual, 53.22 pg_inherits, 53.18 pg_depend, 53.23 pg_foreign_table
-- Through partitions and plain views, at any depth; the tables that functions read are unknown.
WITH RECURSIVE reached AS (
  SELECT w.oid AS root, w.oid
    FROM pg_catalog.unnest(%(relations)s::oid[]) AS w (oid)
  UNION
  SELECT r.root, n.oid
    FROM reached r
   CROSS JOIN LATERAL (
     SELECT i.inhrelid AS oid FROM pg_catalog.pg_inherits i WHERE i.inhparent = r.oid
     UNION ALL
     SELECT d.refobjid
       FROM pg_catalog.pg_class v
       JOIN pg_catalog.pg_rewrite w ON w.ev_class = v.oid AND w.ev_type = '1'
       JOIN pg_catalog.pg_depend d
         ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
        AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> v.oid
      WHERE v.oid = r.oid AND v.relkind = 'v') n
)
SELECT DISTINCT
  r.root AS oid,
  n.nspname::text AS schema,
  c.relname::text AS name,
  s.srvname::text AS server
FROM reached r
JOIN pg_catalog.pg_foreign_table f ON f.ftrelid = r.oid
JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver
JOIN pg_catalog.pg_class c ON c.oid = r.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY 1, 2, 3
