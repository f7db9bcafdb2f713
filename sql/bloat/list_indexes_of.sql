-- list_indexes_of: the current indexes of a table
-- since: 15
-- params: table_oid oid
-- columns: oid oid, name text, is_valid bool, size_bytes int8
-- locks: ACCESS SHARE on each, for its size
-- source: PostgreSQL manual, 53.26 pg_index
SELECT
  c.oid,
  pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name,
  i.indisvalid AS is_valid,
  pg_catalog.pg_relation_size(c.oid) AS size_bytes
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE i.indrelid = %(table_oid)s::oid
ORDER BY c.oid
