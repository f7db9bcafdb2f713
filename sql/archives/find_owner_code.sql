-- find_owner_code: parts of a table that evaluate code its owner may have written, none otherwise
-- since: 15
-- params: relation text (quoted, qualified name)
-- columns: what text
-- locks: none
-- source: PostgreSQL manual, 53.18 pg_depend
-- Built-in functions and operators have OIDs below 16384, and no row in pg_depend. Code that belongs
-- to our role or to a superuser is trusted.
WITH RECURSIVE trusted AS (
  SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolsuper OR r.rolname = current_user
), this AS (SELECT pg_catalog.to_regclass(%(relation)s)::oid AS oid),
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
), types AS (  -- and what values of them are made of: elements, fields, bases, ends
  SELECT a.atttypid AS oid FROM pg_catalog.pg_attribute a JOIN this ON this.oid = a.attrelid
   WHERE a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384
  UNION
  SELECT inner_type.oid
    FROM types t
    JOIN pg_catalog.pg_type y ON y.oid = t.oid
   CROSS JOIN LATERAL (
     SELECT y.typelem AS oid UNION ALL SELECT y.typbasetype
     UNION ALL SELECT f.atttypid FROM pg_catalog.pg_attribute f
                WHERE f.attrelid = y.typrelid AND y.typrelid <> 0 AND f.attnum > 0 AND NOT f.attisdropped
     UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = y.oid
     UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE r.rngmultitypid = y.oid) AS inner_type
   WHERE inner_type.oid >= 16384
)
SELECT DISTINCT pg_catalog.pg_describe_object(d.refclassid, d.refobjid, 0) AS what
FROM parts p
JOIN pg_catalog.pg_depend d ON d.classid = p.classid AND d.objid = p.oid
LEFT JOIN pg_catalog.pg_proc f ON d.refclassid = 'pg_catalog.pg_proc'::regclass AND f.oid = d.refobjid
LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::regclass AND o.oid = d.refobjid
LEFT JOIN pg_catalog.pg_opclass c ON d.refclassid = 'pg_catalog.pg_opclass'::regclass AND c.oid = d.refobjid
WHERE d.refobjid >= 16384
  AND coalesce(f.proowner, o.oprowner, c.opcowner) NOT IN (SELECT oid FROM trusted)
  AND d.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass,
                       'pg_catalog.pg_opclass'::regclass)
UNION
SELECT 'trigger ' || pg_catalog.quote_ident(t.tgname)
FROM pg_catalog.pg_trigger t JOIN this ON this.oid = t.tgrelid
WHERE NOT t.tgisinternal
UNION
SELECT 'type ' || pg_catalog.format_type(y.oid, NULL)
FROM types
JOIN pg_catalog.pg_type y ON y.oid = types.oid
WHERE y.typtype IN ('b', 'd', 'r', 'm') AND (y.typtype = 'd' OR y.typcategory <> 'A')
  AND y.typowner NOT IN (SELECT oid FROM trusted)
ORDER BY 1
