-- list_references: the smallint and integer columns of foreign keys, and what they point to
-- since: 15
-- params:
-- columns: schema text, name text, column_name text, column_bytes int4, target_oid oid, target_attnum int4, target_bytes int4, target_schema text, target_name text, target_column text, table_oid oid, attnum int4
-- locks: none
-- source: PostgreSQL manual, 53.13 pg_constraint
-- A key of a partition is that of its parent.
SELECT
  n.nspname::text AS schema,
  c.relname::text AS name,
  a.attname::text AS column_name,
  b.typlen::int4 AS column_bytes,
  k.confrelid AS target_oid,
  x.refattnum::int4 AS target_attnum,
  rb.typlen::int4 AS target_bytes,
  rn.nspname::text AS target_schema,
  r.relname::text AS target_name,
  ra.attname::text AS target_column,
  c.oid AS table_oid,
  a.attnum::int4
FROM pg_catalog.pg_constraint k
CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey)) AS x (attnum, refattnum)
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = x.attnum
JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
JOIN pg_catalog.pg_type b ON b.oid = coalesce(nullif(y.typbasetype, 0), y.oid)
JOIN pg_catalog.pg_class r ON r.oid = k.confrelid
JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
JOIN pg_catalog.pg_attribute ra ON ra.attrelid = k.confrelid AND ra.attnum = x.refattnum
JOIN pg_catalog.pg_type ry ON ry.oid = ra.atttypid
JOIN pg_catalog.pg_type rb ON rb.oid = coalesce(nullif(ry.typbasetype, 0), ry.oid)
WHERE k.contype = 'f' AND k.conparentid = 0
  AND b.oid IN ('pg_catalog.int2'::pg_catalog.regtype, 'pg_catalog.int4'::pg_catalog.regtype)
  AND rb.oid IN ('pg_catalog.int2'::pg_catalog.regtype, 'pg_catalog.int4'::pg_catalog.regtype,
                 'pg_catalog.int8'::pg_catalog.regtype)
ORDER BY 1, 2, 3, k.oid
