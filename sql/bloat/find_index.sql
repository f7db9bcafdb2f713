-- find_index: an index by its name, if it is there
-- since: 14
-- params: name text (quoted and qualified)
-- columns: oid oid, is_valid bool, size_bytes int8
-- locks: ACCESS SHARE on it, for its size
-- source: PostgreSQL manual, 53.26 pg_index
SELECT
  i.indexrelid AS oid,
  i.indisvalid AS is_valid,
  pg_catalog.pg_relation_size(i.indexrelid) AS size_bytes
FROM pg_catalog.pg_index i
WHERE i.indexrelid = pg_catalog.to_regclass(%(name)s::text)
