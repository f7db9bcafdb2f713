-- list_foreign_keys: one row for each foreign key of user tables, except those of partitions
-- since: 15
-- params:
-- columns: name text, table_oid oid, columns int2[], names text[], referenced_schema text, referenced_name text
-- locks: none
-- source: PostgreSQL manual, 53.13 pg_constraint
SELECT
  f.conname::text AS name,
  f.conrelid AS table_oid,
  f.conkey AS columns,
  (SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.place)
     FROM pg_catalog.unnest(f.conkey) WITH ORDINALITY AS k (attnum, place)
     JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum) AS names,
  rn.nspname::text AS referenced_schema,
  r.relname::text AS referenced_name
FROM pg_catalog.pg_constraint f
JOIN pg_catalog.pg_class c ON c.oid = f.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class r ON r.oid = f.confrelid
JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
WHERE f.contype = 'f' AND f.conparentid = 0 AND c.relpersistence <> 't'
  AND NOT pg_catalog.starts_with(n.nspname::text, 'pg_')
  AND n.nspname NOT IN ('information_schema', 'maintenance')
