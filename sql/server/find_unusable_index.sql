-- find_unusable_index: the index with an OID, unless it is valid, none or one row
-- since: 15
-- params: index_oid oid
-- columns: name text, is_building bool
-- locks: none
-- source: PostgreSQL manual, 53.26 pg_index, 28.4.2 pg_stat_progress_create_index
SELECT
  pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name,
  EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS p
          WHERE p.relid = i.indrelid AND p.pid <> pg_catalog.pg_backend_pid()) AS is_building
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indexrelid = %(index_oid)s::pg_catalog.oid
  AND NOT (i.indisvalid AND i.indisready AND i.indislive)
