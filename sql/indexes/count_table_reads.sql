-- count_table_reads: scans of tables and of their indexes on this server, partitions included
-- since: 15
-- params: tables oid[]
-- columns: oid oid, n_reads int8
-- locks: none
-- source: PostgreSQL manual, 27.2.22 Statistics Functions
WITH RECURSIVE tree AS (
  SELECT c.oid AS root, c.oid AS part
  FROM pg_catalog.pg_class AS c
  WHERE c.oid = ANY (%(tables)s::pg_catalog.oid[])
  UNION
  SELECT t.root, i.inhrelid FROM tree AS t JOIN pg_catalog.pg_inherits AS i ON i.inhparent = t.part
)
SELECT t.root AS oid,
  pg_catalog.sum(
    pg_catalog.pg_stat_get_numscans(t.part)
    + (SELECT coalesce(pg_catalog.sum(pg_catalog.pg_stat_get_numscans(i.indexrelid)), 0)
         FROM pg_catalog.pg_index AS i WHERE i.indrelid = t.part)
  )::int8 AS n_reads
FROM tree AS t
GROUP BY t.root
