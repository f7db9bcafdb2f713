-- find_owner_code: what of a table evaluates code that its owner may have written, none if nothing does
-- since: 15
-- params: relation text (quoted, qualified name)
-- columns: what text
-- locks: none
-- source: PostgreSQL manual, 53.18 pg_depend
-- Functions and operators of the server itself have OIDs below 16384, and no row in pg_depend.
WITH this AS (SELECT pg_catalog.to_regclass(%(relation)s)::oid AS oid),
parts AS (
  SELECT 'pg_catalog.pg_class'::regclass::oid AS classid, oid FROM this
  UNION ALL
  SELECT 'pg_catalog.pg_class'::regclass, i.indexrelid FROM pg_catalog.pg_index i JOIN this ON this.oid = i.indrelid
  UNION ALL
  SELECT 'pg_catalog.pg_attrdef'::regclass, d.oid FROM pg_catalog.pg_attrdef d JOIN this ON this.oid = d.adrelid
  UNION ALL
  SELECT 'pg_catalog.pg_constraint'::regclass, k.oid FROM pg_catalog.pg_constraint k JOIN this ON this.oid = k.conrelid
  UNION ALL
  SELECT 'pg_catalog.pg_policy'::regclass, p.oid FROM pg_catalog.pg_policy p JOIN this ON this.oid = p.polrelid
  UNION ALL
  SELECT 'pg_catalog.pg_statistic_ext'::regclass, s.oid FROM pg_catalog.pg_statistic_ext s JOIN this ON this.oid = s.stxrelid
)
SELECT DISTINCT pg_catalog.pg_describe_object(d.refclassid, d.refobjid, 0) AS what
FROM parts p
JOIN pg_catalog.pg_depend d ON d.classid = p.classid AND d.objid = p.oid
WHERE d.refobjid >= 16384
  AND d.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass,
                       'pg_catalog.pg_opclass'::regclass)
UNION
SELECT 'trigger ' || pg_catalog.quote_ident(t.tgname)
FROM pg_catalog.pg_trigger t JOIN this ON this.oid = t.tgrelid
WHERE NOT t.tgisinternal
UNION
SELECT 'type ' || pg_catalog.format_type(a.atttypid, NULL)
FROM pg_catalog.pg_attribute a
JOIN this ON this.oid = a.attrelid
JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
LEFT JOIN pg_catalog.pg_type e ON e.oid = y.typelem AND y.typcategory = 'A'
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384
  AND coalesce(e.typtype, y.typtype) <> 'e'
ORDER BY 1
