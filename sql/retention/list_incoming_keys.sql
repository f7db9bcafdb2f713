-- list_incoming_keys: the foreign keys that reference the given tables
-- since: 15
-- params: tables oid[]
-- columns: referenced oid, referencing oid, schema text, name text, columns jsonb, referenced_columns jsonb
-- locks: none
-- source: PostgreSQL manual, 53.13 pg_constraint
SELECT
  k.confrelid AS referenced,
  k.conrelid AS referencing,
  n.nspname::text AS schema,
  c.relname::text AS name,
  (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY p.place)
     FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS p (attnum, place)
     JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.attnum) AS columns,
  (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY p.place)
     FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS p (attnum, place)
     JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = p.attnum) AS referenced_columns
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid = ANY (%(tables)s::oid[])
ORDER BY k.confrelid, k.conname
