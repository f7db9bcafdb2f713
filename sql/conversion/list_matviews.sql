-- list_matviews: the materialized views that read one of the tables or a partition of it directly, and others by name
-- since: 15
-- params: relations oid[], names text[], twins bool
-- columns: relation oid, in_partition bool, schema text, name text, oid oid, is_populated bool, size_bytes int8, tablespace text, query text, comment text
-- locks: ACCESS SHARE on the views; their text waits for an ACCESS EXCLUSIVE lock on what they read
-- source: PostgreSQL manual, 53.18 pg_depend, 9.28.7 Database Object Management Functions
WITH wanted AS MATERIALIZED (
  SELECT r.oid AS relation, r.oid, false AS in_partition
    FROM pg_catalog.unnest(%(relations)s::oid[]) AS r (oid)
  UNION ALL
  SELECT h.inhparent, h.inhrelid, true
    FROM pg_catalog.pg_inherits h
   WHERE h.inhparent = ANY (%(relations)s::oid[])
), found AS MATERIALIZED (
  SELECT DISTINCT r.relation, r.in_partition, w.ev_class AS oid
    FROM wanted r
    JOIN pg_catalog.pg_depend d
      ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = r.oid
     AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid
  UNION ALL
  SELECT NULL, NULL, pg_catalog.to_regclass(v.name)::oid
    FROM pg_catalog.unnest(%(names)s::text[]) AS v (name)
)
SELECT f.relation, f.in_partition, n.nspname::text AS schema, c.relname::text AS name, c.oid,
       c.relispopulated AS is_populated, pg_catalog.pg_total_relation_size(c.oid) AS size_bytes,
       nullif(pg_catalog.pg_tablespace_location(coalesce(nullif(c.reltablespace, 0), b.dattablespace)), '') AS tablespace,
       pg_catalog.pg_get_viewdef(c.oid) AS query, pg_catalog.obj_description(c.oid, 'pg_class') AS comment
FROM found f
JOIN pg_catalog.pg_class c ON c.oid = f.oid AND c.relkind = 'm'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_database b ON b.datname = pg_catalog.current_database()
WHERE NOT %(twins)s::bool OR pg_catalog.starts_with(c.relname::text, 'maintenance_convert_')
ORDER BY 3, 4, 2
