-- list_dependents: objects that depend on a view: plain views with their definition, and all others
-- since: 15
-- params: view oid
-- columns: description text, statement text, relation text
-- locks: ACCESS SHARE on the views
-- source: PostgreSQL manual, 53.18 pg_depend; statement is null for objects that can't be recreated
SELECT DISTINCT
  pg_catalog.pg_describe_object(
    CASE WHEN r.oid IS NULL THEN d.classid ELSE 'pg_catalog.pg_class'::pg_catalog.regclass END,
    COALESCE(r.oid, d.objid), 0) AS description,
  CASE WHEN r.relkind = 'v' THEN pg_catalog.format('CREATE OR REPLACE VIEW %%I.%%I%%s AS %%s',
    n.nspname, r.relname, ' WITH (' || pg_catalog.array_to_string(r.reloptions, ', ') || ')',
    pg_catalog.rtrim(pg_catalog.pg_get_viewdef(r.oid), ';')) END AS statement,
  CASE WHEN r.relkind = 'v'
    THEN pg_catalog.format('%%I.%%I', n.nspname, r.relname) END AS relation
FROM pg_catalog.pg_class AS v
JOIN pg_catalog.pg_depend AS d
  ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = v.oid
  OR d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid = v.reltype
LEFT JOIN pg_catalog.pg_rewrite AS w
  ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND w.oid = d.objid
LEFT JOIN pg_catalog.pg_class AS r ON r.oid = w.ev_class
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
LEFT JOIN pg_catalog.pg_index AS i
  ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.indexrelid = d.objid
WHERE v.oid = %(view)s
  AND d.deptype IN ('n', 'a')
  AND i.indexrelid IS NULL
  AND r.oid IS DISTINCT FROM v.oid
  AND d.classid <> 'pg_catalog.pg_type'::pg_catalog.regclass
ORDER BY 1
