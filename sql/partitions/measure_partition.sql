-- measure_partition: the size of some tables with indexes and TOAST, and their tablespace if all have one
-- since: 15
-- params: relations oid[]
-- columns: size_bytes int8, tablespace text
-- locks: ACCESS SHARE on the tables, for their sizes
-- source: PostgreSQL manual, 9.28.7 Database Object Management Functions
SELECT coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::int8 AS size_bytes,
       CASE WHEN pg_catalog.count(DISTINCT c.reltablespace) = 1
            THEN nullif(pg_catalog.pg_tablespace_location(pg_catalog.max(c.reltablespace)), '') END AS tablespace
FROM pg_catalog.pg_class c
WHERE c.oid = ANY (%(relations)s::oid[])
