-- list_dependents: objects that depend on the given tables, so that PostgreSQL would refuse to drop them
-- since: 15
-- params: tables oid[]
-- columns: oid oid, dependent text
-- locks: none
-- source: PostgreSQL manual, 53.18 pg_depend, DROP TABLE, 9.27 System Information Functions
-- Follows the catalog like DROP TABLE … RESTRICT. Objects with a dependency other than normal are
-- dropped with the table, and so are their dependents: columns and their defaults, triggers,
-- policies, statistics objects, owned sequences, members of publications, partitions. The drop is
-- refused for every object with only a normal dependency on one of these, and for every object of
-- which one of these is an internal part. Foreign keys of other tables that reference the parent end
-- for a partition when it is detached.
WITH RECURSIVE going AS (
  SELECT t.oid AS root, 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AS classid,
         t.oid AS objid
    FROM pg_catalog.unnest(%(tables)s::oid[]) AS t (oid)
  UNION
  SELECT g.root, d.classid, d.objid
    FROM going g
    JOIN pg_catalog.pg_depend d ON d.refclassid = g.classid AND d.refobjid = g.objid
   WHERE d.deptype <> 'n'
     -- of a part of a table, such as a column, no more goes than the part: it is not among these
     AND d.objsubid = 0
), standing AS (
  SELECT g.root, d.classid, d.objid, d.objsubid
    FROM going g
    JOIN pg_catalog.pg_depend d ON d.refclassid = g.classid AND d.refobjid = g.objid
   WHERE d.deptype = 'n'
  UNION
  SELECT g.root, d.refclassid, d.refobjid, d.refobjsubid
    FROM going g
    JOIN pg_catalog.pg_depend d ON d.classid = g.classid AND d.objid = g.objid
   WHERE d.deptype IN ('i', 'e')
)
SELECT DISTINCT
  s.root AS oid,
  CASE WHEN r.rulename = '_RETURN'
       THEN pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, r.ev_class, 0)
       ELSE pg_catalog.pg_describe_object(s.classid, s.objid, s.objsubid) END AS dependent
FROM standing s
LEFT JOIN pg_catalog.pg_rewrite r
       ON s.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = s.objid
LEFT JOIN pg_catalog.pg_constraint k
       ON s.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = s.objid
WHERE NOT EXISTS (SELECT FROM going g
                   WHERE g.root = s.root AND g.classid = s.classid AND g.objid = s.objid)
  AND NOT (coalesce(k.contype, ' ') = 'f' AND k.conparentid <> 0)
ORDER BY 1, 2
