-- find_index: the relation that has a name, none or one row
-- since: 15
-- params: name text (qualified and quoted)
-- columns: oid oid, what text, table_oid oid, table_name text, is_valid bool, is_building bool, definition text, size_bytes int8
-- locks: ACCESS SHARE on the index, for its size
-- source: PostgreSQL manual, 53.26 pg_index, 28.4.2 pg_stat_progress_create_index
SELECT c.oid,
  CASE c.relkind WHEN 'i' THEN 'an index' WHEN 'I' THEN 'a partitioned index' WHEN 'v' THEN 'a view'
    WHEN 'm' THEN 'a materialized view' WHEN 'S' THEN 'a sequence' WHEN 'r' THEN 'a table'
    WHEN 'p' THEN 'a partitioned table' ELSE 'another relation' END AS what,
  i.indrelid AS table_oid,
  i.indrelid::pg_catalog.regclass::pg_catalog.text AS table_name,
  coalesce(i.indisvalid AND i.indisready AND i.indislive, true) AS is_valid,
  EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS p
          WHERE p.relid = i.indrelid AND p.pid <> pg_catalog.pg_backend_pid()) AS is_building,
  pg_catalog.pg_get_indexdef(i.indexrelid) AS definition,
  CASE WHEN i.indexrelid IS NOT NULL THEN pg_catalog.pg_relation_size(c.oid) END AS size_bytes
FROM pg_catalog.pg_class AS c
LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
WHERE c.oid = pg_catalog.to_regclass(%(name)s::pg_catalog.text)
