-- list_schema_faults: the objects in the store's schema, and those that may be another role's
-- since: 15
-- params: owners text[]
-- columns: fault text, name text, kind text, owner text
-- locks: none
-- source: PostgreSQL manual, 54.18 pg_depend, 54.39 pg_namespace
WITH space AS (
  SELECT n.oid, n.nspowner FROM pg_catalog.pg_namespace n WHERE n.nspname = 'maintenance'
),
held AS (
  SELECT d.classid, d.objid
  FROM space s
  JOIN pg_catalog.pg_depend d
    ON d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = s.oid
),
relation AS (
  SELECT c.oid, c.relname, c.relkind, c.relowner, c.relrowsecurity, c.relispartition
  FROM held h
  JOIN pg_catalog.pg_class c ON c.oid = h.objid
  WHERE h.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
),
expression AS (
  SELECT r.relname, 'pg_catalog.pg_attrdef'::pg_catalog.regclass::oid AS classid, a.oid AS objid
  FROM relation r JOIN pg_catalog.pg_attrdef a ON a.adrelid = r.oid
  UNION ALL
  SELECT r.relname, 'pg_catalog.pg_constraint'::pg_catalog.regclass::oid, k.oid
  FROM relation r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
  UNION ALL
  SELECT r.relname, 'pg_catalog.pg_class'::pg_catalog.regclass::oid, i.indexrelid
  FROM relation r JOIN pg_catalog.pg_index i ON i.indrelid = r.oid
  UNION ALL
  SELECT r.relname, 'pg_catalog.pg_class'::pg_catalog.regclass::oid, r.oid
  FROM relation r WHERE r.relkind <> 'v'
),
fault AS (
  SELECT 'owner' AS fault, 'maintenance' AS name, 'schema' AS kind, s.nspowner AS owner
  FROM space s
  UNION ALL
  SELECT 'owner', r.relname, 'relation', r.relowner FROM relation r
  UNION ALL
  SELECT 'owner', p.proname, 'function', p.proowner
  FROM held h JOIN pg_catalog.pg_proc p ON p.oid = h.objid
  WHERE h.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
  UNION ALL
  SELECT 'object', x.identity, x.type, NULL::oid
  FROM held h
  CROSS JOIN LATERAL pg_catalog.pg_identify_object(h.classid, h.objid, 0) x
  WHERE h.classid NOT IN ('pg_catalog.pg_class'::pg_catalog.regclass,
                          'pg_catalog.pg_proc'::pg_catalog.regclass)
  UNION ALL
  SELECT 'trigger', r.relname, t.tgname, NULL
  FROM relation r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
  UNION ALL
  SELECT 'rule', r.relname, w.rulename, NULL
  FROM relation r
  JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid
  WHERE NOT (r.relkind = 'v' AND w.rulename = '_RETURN')
  UNION ALL
  SELECT 'row security', r.relname, 'row security', NULL FROM relation r WHERE r.relrowsecurity
  UNION ALL
  SELECT 'expression', e.relname, x.identity, NULL
  FROM expression e
  JOIN pg_catalog.pg_depend d ON d.classid = e.classid AND d.objid = e.objid
  CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.refclassid, d.refobjid, 0) x
  WHERE d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass,
                         'pg_catalog.pg_operator'::pg_catalog.regclass,
                         'pg_catalog.pg_type'::pg_catalog.regclass)
  UNION ALL
  SELECT 'child', r.relname, c.relname, c.relowner
  FROM relation r
  JOIN pg_catalog.pg_inherits i ON i.inhparent = r.oid
  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
)
SELECT f.fault::text, f.name::text, f.kind::text, a.rolname::text AS owner
FROM fault f
LEFT JOIN pg_catalog.pg_roles a ON a.oid = f.owner
WHERE f.owner IS NULL OR a.rolname IS NULL OR a.rolname <> ALL (%(owners)s::text[])
UNION ALL
SELECT '', r.relname::text, r.relkind::text, NULL
FROM relation r
WHERE NOT r.relispartition
