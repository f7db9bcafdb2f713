-- find_hypopg: the schema of the extension HypoPG, its version, and whether it can hide indexes (1.4)
-- since: 15
-- params:
-- columns: schema text, version text, can_hide bool
-- locks: none
-- source: PostgreSQL manual, 53.22 pg_extension; HypoPG manual
SELECT n.nspname::text AS schema, e.extversion AS version,
  EXISTS (SELECT FROM pg_catalog.pg_depend AS d
          JOIN pg_catalog.pg_proc AS f ON f.oid = d.objid AND f.proname = 'hypopg_hide_index'
          WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.deptype = 'e'
            AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid) AS can_hide
FROM pg_catalog.pg_extension AS e
JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname = 'hypopg'
