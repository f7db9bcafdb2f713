-- list_edges: the objects that relations read, through views, partitions, functions and operators
-- since: 15
-- params: views oid[], others oid[]
-- columns: of_class text, oid oid, to_class text, to_oid oid, pending bool
-- locks: none
-- source: PostgreSQL manual, 53.18 pg_depend; materialized views end a path unless in `views`
WITH RECURSIVE edge (class, oid, to_class, to_oid, pending) AS (
  SELECT NULL::pg_catalog.text, NULL::pg_catalog.oid, 'relation'::pg_catalog.text, r.oid, false
  FROM pg_catalog.unnest(%(views)s::pg_catalog.oid[] || %(others)s::pg_catalog.oid[]) AS r (oid)
  UNION
  SELECT e.to_class, e.to_oid, n.class, n.oid, n.pending
  FROM edge AS e
  CROSS JOIN LATERAL (
    SELECT
      CASE WHEN d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        THEN 'relation' ELSE 'function' END,
      COALESCE(o.oprcode::pg_catalog.oid, d.refobjid),
      false
    FROM pg_catalog.pg_rewrite AS w
    JOIN pg_catalog.pg_class AS c ON c.oid = w.ev_class
    JOIN pg_catalog.pg_depend AS d
      ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
    LEFT JOIN pg_catalog.pg_operator AS o
      ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
    WHERE e.to_class = 'relation' AND w.ev_class = e.to_oid AND w.ev_type = '1'
      AND (c.relkind = 'v' OR e.to_oid = ANY (%(views)s))
      AND d.refobjid <> e.to_oid
      AND d.refclassid IN ('pg_catalog.pg_class'::pg_catalog.regclass,
                           'pg_catalog.pg_operator'::pg_catalog.regclass,
                           'pg_catalog.pg_proc'::pg_catalog.regclass)
    UNION ALL
    SELECT 'relation', i.inhrelid, i.inhdetachpending
    FROM pg_catalog.pg_inherits AS i
    WHERE e.to_class = 'relation' AND i.inhparent = e.to_oid
    UNION ALL
    SELECT
      CASE WHEN d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        THEN 'relation' ELSE 'function' END,
      COALESCE(o.oprcode::pg_catalog.oid, d.refobjid),
      false
    FROM pg_catalog.pg_depend AS d
    LEFT JOIN pg_catalog.pg_operator AS o
      ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
    WHERE e.to_class = 'function' AND d.objid = e.to_oid
      AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
      AND d.refclassid IN ('pg_catalog.pg_class'::pg_catalog.regclass,
                           'pg_catalog.pg_operator'::pg_catalog.regclass,
                           'pg_catalog.pg_proc'::pg_catalog.regclass)
  ) AS n (class, oid, pending)
)
SELECT e.class AS of_class, e.oid, e.to_class, e.to_oid, e.pending
FROM edge AS e
