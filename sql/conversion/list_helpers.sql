-- list_helpers: what a conversion has made on a table so far
-- since: 15
-- params: relations oid[]
-- columns: relation oid, kind text, name text, is_valid bool, columns jsonb, schema text, table_name text, owner text, comment text
-- locks: none
-- source: PostgreSQL manual, 53.13 pg_constraint, 53.26 pg_index
SELECT k.conrelid AS relation, 'check' AS kind, k.conname::text AS name, k.convalidated AS is_valid,
       NULL::jsonb AS columns, NULL AS schema, NULL AS table_name, NULL AS owner, NULL AS comment
  FROM pg_catalog.pg_constraint k
 WHERE k.conrelid = ANY (%(relations)s::oid[]) AND k.contype = 'c'
   AND pg_catalog.starts_with(k.conname::text, 'maintenance_convert_')
UNION ALL
SELECT x.indrelid, 'index', c.relname::text, x.indisvalid AND x.indisready AND x.indislive,
       (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY c.place)
          FROM pg_catalog.unnest(x.indkey::int2[]) WITH ORDINALITY AS c (number, place)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = c.number),
       NULL, NULL, NULL, NULL
  FROM pg_catalog.pg_index x
  JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
 WHERE x.indrelid = ANY (%(relations)s::oid[])
   AND pg_catalog.starts_with(c.relname::text, 'maintenance_convert_')
UNION ALL
-- foreign keys that a swap has created NOT VALID; their comment says so
SELECT k.confrelid, 'reference', k.conname::text, k.convalidated, NULL,
       n.nspname::text, c.relname::text, pg_catalog.pg_get_userbyid(c.relowner)::text,
       pg_catalog.obj_description(k.oid, 'pg_constraint')
  FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE k.confrelid = ANY (%(relations)s::oid[]) AND k.contype = 'f' AND k.conparentid = 0
   AND pg_catalog.obj_description(k.oid, 'pg_constraint') LIKE '%%maintenance: %%"conversion"%%'
