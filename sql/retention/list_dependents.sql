-- list_dependents: what stands on the given tables, for which PostgreSQL would refuse to drop them
-- since: 14
-- params: tables oid[]
-- columns: oid oid, dependent text
-- locks: none
-- source: PostgreSQL manual, 53.18 pg_depend, 9.27 System Information Functions
-- A table's own constraints, and those it has as one of the partitions that another points to, go
-- with it.
SELECT DISTINCT
  d.refobjid AS oid,
  CASE WHEN r.oid IS NOT NULL
       THEN pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, r.ev_class, 0)
       ELSE pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) END AS dependent
FROM pg_catalog.pg_depend d
LEFT JOIN pg_catalog.pg_rewrite r
       ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = d.objid
LEFT JOIN pg_catalog.pg_constraint k
       ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = d.objid
WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
  AND d.refobjid = ANY (%(tables)s::oid[])
  AND d.deptype = 'n'
  AND r.ev_class IS DISTINCT FROM d.refobjid
  AND k.conrelid IS DISTINCT FROM d.refobjid
  AND coalesce(k.conparentid, 0) = 0
ORDER BY 1, 2
