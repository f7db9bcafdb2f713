-- list_sizes: the largest tables with indexes and TOAST, partitions summed under their root
-- since: 15
-- params: min_bytes int8, most int8
-- columns: schema text, name text, n_partitions int8, size_bytes int8, n_rows float8, heap_bytes int8, index_bytes int8
-- locks: none
-- source: PostgreSQL manual, 53.11 pg_class, 53.22 pg_inherits
-- By relpages, which VACUUM, ANALYZE and index builds set: nothing is opened.
WITH RECURSIVE tree AS (
  SELECT i.inhrelid AS leaf, i.inhparent AS root FROM pg_catalog.pg_inherits i
  JOIN pg_catalog.pg_class p ON p.oid = i.inhparent AND p.relkind = 'p' AND NOT p.relispartition
  UNION ALL
  SELECT i.inhrelid, t.root FROM tree t
  JOIN pg_catalog.pg_inherits i ON i.inhparent = t.leaf
), part AS MATERIALIZED (
  SELECT
    c.oid, coalesce(t.root, c.oid) AS root, c.relpages, c.reltuples, c.reltoastrelid,
    t.root IS NOT NULL AND c.relkind <> 'p' AS is_leaf, c.relkind = 'p' AS is_parent
  FROM pg_catalog.pg_class c
  LEFT JOIN tree t ON t.leaf = c.oid
  WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
), piece AS (
  SELECT p.root, 'heap' AS what, p.relpages FROM part p
  UNION ALL
  SELECT p.root, 'toast', o.relpages FROM part p JOIN pg_catalog.pg_class o ON o.oid = p.reltoastrelid
  UNION ALL
  SELECT p.root, 'index', x.relpages FROM part p
  JOIN pg_catalog.pg_index i ON i.indrelid = p.oid
  JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
  UNION ALL
  SELECT p.root, 'toast', x.relpages FROM part p
  JOIN pg_catalog.pg_index i ON i.indrelid = p.reltoastrelid
  JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
), sized AS (
  SELECT e.root,
    pg_catalog.sum(e.relpages)::int8 * 8192 AS size_bytes,
    coalesce(pg_catalog.sum(e.relpages) FILTER (WHERE e.what = 'heap'), 0)::int8 * 8192 AS heap_bytes,
    coalesce(pg_catalog.sum(e.relpages) FILTER (WHERE e.what = 'index'), 0)::int8 * 8192 AS index_bytes
  FROM piece e GROUP BY e.root
), largest AS (
  SELECT s.* FROM sized s WHERE s.size_bytes >= %(min_bytes)s::int8
  ORDER BY s.size_bytes DESC LIMIT %(most)s::int8
)
SELECT
  n.nspname::text AS schema,
  c.relname::text AS name,
  f.n_partitions,
  l.size_bytes,
  f.n_rows,
  l.heap_bytes,
  l.index_bytes
FROM largest l
JOIN pg_catalog.pg_class c ON c.oid = l.root
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN (SELECT p.root, pg_catalog.count(*) FILTER (WHERE p.is_leaf) AS n_partitions,
             pg_catalog.sum(greatest(p.reltuples, 0)::float8)
               FILTER (WHERE p.is_leaf OR NOT p.is_parent) AS n_rows
      FROM part p WHERE p.root IN (SELECT g.root FROM largest g) GROUP BY p.root) f ON f.root = l.root
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY l.size_bytes DESC, 1, 2
