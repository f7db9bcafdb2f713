-- find_widest_tree: the table with the most partitions and indexes of them together
-- since: 15
-- params:
-- columns: schema text, name text, n_partitions int8, n_indexes int8
-- locks: none
-- source: PostgreSQL manual, 20.12 Lock Management, 5.12 Table Partitioning
-- A statement that can't leave out partitions locks all of them, and all of their indexes.
WITH RECURSIVE tree AS (
  SELECT c.oid AS root, c.oid AS relid
  FROM pg_catalog.pg_class c
  WHERE c.relkind = 'p' AND NOT c.relispartition
  UNION ALL
  SELECT t.root, i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.relid
), indexes AS MATERIALIZED (
  SELECT i.indrelid, pg_catalog.count(*) AS n FROM pg_catalog.pg_index i GROUP BY i.indrelid
), sizes AS MATERIALIZED (
  SELECT t.root, pg_catalog.count(*) - 1 AS n_partitions,
         coalesce(pg_catalog.sum(i.n), 0)::int8 AS n_indexes
  FROM tree t LEFT JOIN indexes i ON i.indrelid = t.relid
  GROUP BY t.root
)
SELECT n.nspname::text AS schema, c.relname::text AS name, s.n_partitions, s.n_indexes
FROM sizes s
JOIN pg_catalog.pg_class c ON c.oid = s.root
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY s.n_partitions + s.n_indexes DESC, 1, 2
LIMIT 1
