-- list_partitions_without: the partitions of the table of an index that have no part of it
-- since: 15
-- params: index_oid oid
-- columns: name text
-- locks: ACCESS SHARE on the table, the index and their partitions
-- source: PostgreSQL manual, 9.28.7 Partitioning Information Functions
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name
FROM pg_catalog.pg_index AS i
CROSS JOIN LATERAL pg_catalog.pg_partition_tree(i.indrelid) AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.relid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indexrelid = %(index_oid)s::pg_catalog.oid AND t.level > 0
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_partition_tree(i.indexrelid) AS p
    JOIN pg_catalog.pg_index AS part ON part.indexrelid = p.relid
    WHERE part.indrelid = t.relid
  )
ORDER BY 1
