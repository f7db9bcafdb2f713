-- describe_table: the definition of one table, one row; none if there is no such table
-- since: 15
-- params: relation text (quoted, qualified name)
-- columns: oid oid, kind text, encoding text, columns jsonb, constraints jsonb, indexes jsonb
-- locks: waits behind ACCESS EXCLUSIVE on the table
-- source: PostgreSQL manual, 53 System Catalogs
SELECT
  c.oid,
  c.relkind::text AS kind,
  pg_catalog.getdatabaseencoding()::text AS encoding,
  (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
            'name', a.attname,
            'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
            'collation', CASE WHEN a.attcollation <> t.typcollation
                              THEN a.attcollation::pg_catalog.regcollation::text END,
            'not_null', a.attnotnull,
            'identity', nullif(a.attidentity::text, ''),
            'generated', CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
            'default', CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END)
            ORDER BY a.attnum)
     FROM pg_catalog.pg_attribute a
     JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
     LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
  -- not-null constraints, which 18 lists here, are in the columns
  (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
            'name', k.conname,
            'kind', k.contype,
            'definition', pg_catalog.pg_get_constraintdef(k.oid))
            ORDER BY k.contype, k.conname)
     FROM pg_catalog.pg_constraint k
    WHERE k.conrelid = c.oid AND k.contype IN ('c', 'f', 'p', 'u', 'x')) AS constraints,
  (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
            'name', i.relname,
            'definition', pg_catalog.pg_get_indexdef(i.oid))
            ORDER BY i.relname)
     FROM pg_catalog.pg_index x
     JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = c.oid AND x.indisvalid
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
                       WHERE k.conindid = i.oid AND k.conrelid = c.oid
                         AND k.contype IN ('p', 'u', 'x'))) AS indexes
FROM pg_catalog.pg_class c
WHERE c.oid = pg_catalog.to_regclass(%(relation)s)
