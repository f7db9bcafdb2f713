-- list_unfinished_indexes: invalid indexes of partitioned tables, which lack the index of a partition
-- since: 15
-- params:
-- columns: oid oid, schema text, name text, table_schema text, table_name text
-- locks: none
-- source: PostgreSQL manual, 53.26 pg_index
SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, tn.nspname::text AS table_schema,
  t.relname::text AS table_name
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid AND c.relkind = 'I' AND NOT c.relispartition
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
WHERE NOT i.indisvalid
ORDER BY 2, 3
