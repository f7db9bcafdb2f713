-- measure_index: size of an index with its parts, and whether it has expressions
-- since: 15
-- params: index_oid oid
-- columns: size_bytes int8, has_expressions bool
-- locks: ACCESS SHARE on the indexes, for their sizes
-- source: PostgreSQL manual, 9.27.7 pg_partition_tree, 53.26 pg_index
SELECT coalesce(pg_catalog.sum(pg_catalog.pg_relation_size(t.oid)), 0)::int8 AS size_bytes,
  coalesce(pg_catalog.bool_or(i.indexprs IS NOT NULL), false) AS has_expressions
FROM (SELECT p.relid::oid AS oid FROM pg_catalog.pg_partition_tree(%(index_oid)s::oid) AS p
      UNION SELECT %(index_oid)s::oid) AS t
LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = t.oid
