-- list_helpers: what a conversion has made on a table so far
-- since: 15
-- params: relations oid[]
-- columns: relation oid, kind text, name text, is_valid bool, columns jsonb
-- locks: none
-- source: PostgreSQL manual, 53.13 pg_constraint, 53.26 pg_index
SELECT k.conrelid AS relation, 'check' AS kind, k.conname::text AS name, k.convalidated AS is_valid,
       NULL::jsonb AS columns
  FROM pg_catalog.pg_constraint k
 WHERE k.conrelid = ANY (%(relations)s::oid[]) AND k.contype = 'c'
   AND pg_catalog.starts_with(k.conname::text, 'maintenance_convert_')
UNION ALL
SELECT x.indrelid, 'index', c.relname::text, x.indisvalid AND x.indisready AND x.indislive,
       (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY c.place)
          FROM pg_catalog.unnest(x.indkey::int2[]) WITH ORDINALITY AS c (number, place)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = c.number)
  FROM pg_catalog.pg_index x
  JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
 WHERE x.indrelid = ANY (%(relations)s::oid[])
   AND pg_catalog.starts_with(c.relname::text, 'maintenance_convert_')
