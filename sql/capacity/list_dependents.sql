-- list_dependents: what uses the given columns, so that their type can't be changed
-- since: 15
-- params: tables oid[], attnums int4[]
-- columns: table_oid oid, attnum int4, what text, name text
-- locks: none
-- source: PostgreSQL manual, 53.18 pg_depend, ALTER TABLE
-- ALTER COLUMN TYPE refuses a column that a view, a rule, a policy, a trigger, a generated column, the
-- body of an SQL function or the WHERE of a publication uses; in a partition or child table, too.
WITH RECURSIVE wanted AS (
  SELECT x.relid, x.attnum, x.relid AS part, x.attnum AS part_attnum, a.attname
  FROM ROWS FROM (pg_catalog.unnest(%(tables)s::oid[]), pg_catalog.unnest(%(attnums)s::int4[])) AS x (relid, attnum)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = x.relid AND a.attnum = x.attnum
  UNION
  SELECT w.relid, w.attnum, i.inhrelid, a.attnum::int4, w.attname
  FROM wanted w
  JOIN pg_catalog.pg_inherits i ON i.inhparent = w.part
  JOIN pg_catalog.pg_attribute a ON a.attrelid = i.inhrelid AND a.attname = w.attname
), used AS MATERIALIZED (
  SELECT DISTINCT w.relid, w.attnum, w.part_attnum, d.classid, d.objid
  FROM wanted w
  JOIN pg_catalog.pg_depend d ON d.refobjid = w.part AND d.refobjsubid = w.part_attnum
  WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
), found AS (
  SELECT u.relid, u.attnum,
         CASE WHEN r.rulename <> '_RETURN' THEN 'rule' WHEN c.relkind = 'm' THEN 'materialized view'
              ELSE 'view' END AS what,
         c.oid AS owner, CASE WHEN r.rulename <> '_RETURN' THEN r.rulename END AS part
  FROM used u
  JOIN pg_catalog.pg_rewrite r ON r.oid = u.objid
  JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
  WHERE u.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
  UNION
  SELECT u.relid, u.attnum, 'policy', p.polrelid, p.polname
  FROM used u
  JOIN pg_catalog.pg_policy p ON p.oid = u.objid
  WHERE u.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass
  UNION
  SELECT u.relid, u.attnum, 'trigger', t.tgrelid, t.tgname
  FROM used u
  JOIN pg_catalog.pg_trigger t ON t.oid = u.objid
  WHERE u.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND NOT t.tgisinternal
  UNION
  SELECT u.relid, u.attnum, 'generated column', f.adrelid, a.attname
  FROM used u
  JOIN pg_catalog.pg_attrdef f ON f.oid = u.objid AND f.adnum <> u.part_attnum
  JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
  WHERE u.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND a.attgenerated <> ''
)
SELECT
  f.relid AS table_oid,
  f.attnum::int4,
  f.what,
  pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
    || coalesce('.' || pg_catalog.quote_ident(f.part), '') AS name
FROM found f
JOIN pg_catalog.pg_class c ON c.oid = f.owner
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
UNION
SELECT u.relid, u.attnum::int4, 'function',
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname)
FROM used u
JOIN pg_catalog.pg_proc p ON p.oid = u.objid
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE u.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
UNION
SELECT u.relid, u.attnum::int4, 'publication', pg_catalog.quote_ident(p.pubname)
FROM used u
JOIN pg_catalog.pg_publication_rel x ON x.oid = u.objid AND x.prqual IS NOT NULL
JOIN pg_catalog.pg_publication p ON p.oid = x.prpubid
WHERE u.classid = 'pg_catalog.pg_publication_rel'::pg_catalog.regclass
ORDER BY 1, 2, 3, 4
