-- list_filled_columns: the columns that take the values of the given sequences
-- since: 15
-- params: sequences oid[]
-- columns: sequence oid, table_oid oid, schema text, name text, attnum int4, column_name text, column_bytes int4
-- locks: none
-- source: PostgreSQL manual, 53.18 pg_depend, 53.6 pg_attrdef, 9.17 Sequence Manipulation Functions
-- A column belongs to a sequence that it owns, or that its default calls as it is: a default that
-- computes with nextval has other values. 1574 is nextval(regclass), 480 and 714 are its casts to
-- integer and smallint. Inherited columns take the values of the parent's, which is listed. The size
-- is NULL unless the column is an integer.
WITH fed AS MATERIALIZED (
  SELECT d.objid AS sequence, d.refobjid AS relid, d.refobjsubid AS attnum
  FROM pg_catalog.pg_depend d
  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.objid = ANY (%(sequences)s::oid[])
    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
  UNION
  SELECT d.refobjid, f.adrelid, f.adnum
  FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid
  WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.refobjid = ANY (%(sequences)s::oid[])
    AND (f.adbin::text ~ '^\{FUNCEXPR :funcid 1574 '
         OR f.adbin::text ~ '^\{FUNCEXPR :funcid (480|714) [^{]*:args \(\{FUNCEXPR :funcid 1574 ')
)
SELECT
  f.sequence,
  t.oid AS table_oid,
  n.nspname::text AS schema,
  t.relname::text AS name,
  f.attnum::int4,
  a.attname::text AS column_name,
  CASE WHEN b.oid IN ('pg_catalog.int2'::pg_catalog.regtype, 'pg_catalog.int4'::pg_catalog.regtype,
                      'pg_catalog.int8'::pg_catalog.regtype) THEN b.typlen::int4 END AS column_bytes
FROM fed f
JOIN pg_catalog.pg_class t ON t.oid = f.relid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = f.relid AND a.attnum = f.attnum
JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
JOIN pg_catalog.pg_type b ON b.oid = coalesce(nullif(y.typbasetype, 0), y.oid)
WHERE a.attinhcount = 0 AND NOT a.attisdropped
ORDER BY f.sequence, t.oid, f.attnum
