-- list_sequences: the sequences of the database, and the integer columns that take their values
-- since: 15
-- params:
-- columns: oid oid, schema text, name text, type_bytes int4, increment int8, least int8, most int8, start int8, cycles bool, readable bool, table_oid oid, table_schema text, table_name text, attnum int4, column_name text, column_bytes int4
-- locks: none
-- source: PostgreSQL manual, 53.47 pg_sequence, 53.18 pg_depend, 9.17 Sequence Manipulation Functions
-- A column belongs to a sequence that it owns, or that its default calls as it is: a default such as
-- nextval(...) % 100 has other values. 1574 is nextval(regclass), 480 and 714 are its casts to
-- integer and smallint. Inherited columns take the values of the parent's, which is listed.
WITH fed AS MATERIALIZED (
  SELECT d.objid AS sequence, d.refobjid AS relid, d.refobjsubid AS attnum
  FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_sequence s ON s.seqrelid = d.objid
  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
  UNION
  SELECT d.refobjid, f.adrelid, f.adnum
  FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_sequence s ON s.seqrelid = d.refobjid
  JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid
  WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND (f.adbin::text ~ '^\{FUNCEXPR :funcid 1574 '
         OR f.adbin::text ~ '^\{FUNCEXPR :funcid (480|714) [^{]*:args \(\{FUNCEXPR :funcid 1574 ')
), filled AS MATERIALIZED (
  SELECT f.sequence, t.oid AS table_oid, tn.nspname AS table_schema, t.relname AS table_name,
         f.attnum, a.attname,
         CASE WHEN b.oid IN ('pg_catalog.int2'::pg_catalog.regtype, 'pg_catalog.int4'::pg_catalog.regtype,
                             'pg_catalog.int8'::pg_catalog.regtype) THEN b.typlen END AS bytes
  FROM fed f
  JOIN pg_catalog.pg_class t ON t.oid = f.relid
  JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = f.relid AND a.attnum = f.attnum
  JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
  JOIN pg_catalog.pg_type b ON b.oid = coalesce(nullif(y.typbasetype, 0), y.oid)
  WHERE a.attinhcount = 0 AND NOT a.attisdropped
)
SELECT
  s.seqrelid AS oid,
  n.nspname::text AS schema,
  c.relname::text AS name,
  q.typlen::int4 AS type_bytes,
  s.seqincrement AS increment,
  s.seqmin AS least,
  s.seqmax AS most,
  s.seqstart AS start,
  s.seqcycle AS cycles,
  pg_catalog.has_sequence_privilege(s.seqrelid, 'SELECT, USAGE') AS readable,
  f.table_oid,
  f.table_schema::text,
  f.table_name::text,
  f.attnum::int4,
  f.attname::text AS column_name,
  f.bytes::int4 AS column_bytes
FROM pg_catalog.pg_sequence s
JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type q ON q.oid = s.seqtypid
LEFT JOIN filled f ON f.sequence = s.seqrelid
WHERE c.relpersistence <> 't'
ORDER BY s.seqrelid, f.table_oid, f.attnum
