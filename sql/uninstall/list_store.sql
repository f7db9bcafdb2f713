-- list_store: the objects in the store's schema, and objects elsewhere that depend on them
-- since: 15
-- params:
-- columns: kind text, identity text, name text, parent text, comment text, owner text, is_ours bool, size_bytes int8, has_database bool
-- locks: ACCESS SHARE on the store's tables; their size waits for an ACCESS EXCLUSIVE lock
-- source: PostgreSQL manual, 53.18 pg_depend, 9.28.7 Database Object Management Functions
WITH space AS (
  SELECT n.oid, n.nspowner FROM pg_catalog.pg_namespace n WHERE n.nspname = 'maintenance'
), relation AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relkind, c.relowner
    FROM space s JOIN pg_catalog.pg_class c ON c.relnamespace = s.oid
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
), routine AS MATERIALIZED (
  SELECT f.oid, f.proname, f.prokind, f.proowner
    FROM space s JOIN pg_catalog.pg_proc f ON f.pronamespace = s.oid
), dependent AS MATERIALIZED (
  -- of a view depends its rule; of a foreign key of another table its constraint
  SELECT DISTINCT
         CASE WHEN w.ev_class IS NULL THEN d.classid ELSE 'pg_catalog.pg_class'::pg_catalog.regclass END AS classid,
         coalesce(w.ev_class, d.objid) AS objid
    FROM pg_catalog.pg_depend d
    LEFT JOIN pg_catalog.pg_rewrite w
      ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND w.oid = d.objid
   WHERE d.deptype = 'n'
     AND (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
          AND d.refobjid IN (SELECT r.oid FROM relation r)
          OR d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
          AND d.refobjid IN (SELECT f.oid FROM routine f)
          OR d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
          AND d.refobjid IN (SELECT y.oid FROM pg_catalog.pg_type y JOIN relation r ON y.typrelid = r.oid))
)
SELECT 'schema' AS kind, 'maintenance' AS identity, 'maintenance' AS name, NULL::text AS parent,
       NULL::text AS comment, pg_catalog.pg_get_userbyid(s.nspowner)::text AS owner,
       pg_catalog.pg_has_role(s.nspowner, 'USAGE') AS is_ours, NULL::int8 AS size_bytes, false AS has_database
FROM space s
UNION ALL
SELECT CASE r.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
                      ELSE 'table' END,
       pg_catalog.format('maintenance.%I', r.relname), r.relname::text, p.relname::text,
       pg_catalog.obj_description(r.oid, 'pg_class'),
       pg_catalog.pg_get_userbyid(r.relowner)::text, pg_catalog.pg_has_role(r.relowner, 'USAGE'),
       pg_catalog.pg_total_relation_size(r.oid),
       EXISTS (SELECT FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = r.oid AND a.attname = 'database' AND r.relkind IN ('r', 'p'))
FROM relation r
LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = r.oid
LEFT JOIN relation p ON p.oid = i.inhparent
UNION ALL
SELECT 'function', f.oid::pg_catalog.regprocedure::text, f.proname::text, NULL, NULL,
       pg_catalog.pg_get_userbyid(f.proowner)::text, pg_catalog.pg_has_role(f.proowner, 'USAGE'), NULL, false
FROM routine f
UNION ALL
SELECT 'dependent', x.identity, x.type, NULL, NULL, NULL, NULL, NULL, false
FROM dependent d
CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, 0) x
WHERE x.schema IS DISTINCT FROM 'maintenance'
  AND NOT (d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
           AND EXISTS (SELECT FROM pg_catalog.pg_constraint k JOIN relation r ON r.oid = k.conrelid
                        WHERE k.oid = d.objid))
  AND d.classid IN ('pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_constraint'::pg_catalog.regclass,
                    'pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_policy'::pg_catalog.regclass,
                    'pg_catalog.pg_trigger'::pg_catalog.regclass)
ORDER BY 1, 2
