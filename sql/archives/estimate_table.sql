-- estimate_table: estimated rows and size of one table with its partitions, one row; rows -1 if unknown, 0 bytes if there is no such table
-- since: 15
-- params: relation text (quoted, qualified name)
-- columns: rows float4, size_bytes int8
-- locks: none
-- source: PostgreSQL manual, 53.11 pg_class
WITH RECURSIVE tree AS (
  SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(%(relation)s)
  UNION ALL
  SELECT i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
)
SELECT
  coalesce(pg_catalog.sum(c.reltuples) FILTER (WHERE c.reltuples >= 0), -1)::float4 AS rows,
  coalesce(pg_catalog.sum((c.relpages::int8 + coalesce(t.relpages, 0)) * 8192), 0)::int8 AS size_bytes
FROM tree
JOIN pg_catalog.pg_class c ON c.oid = tree.oid AND c.relkind <> 'p'
LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
