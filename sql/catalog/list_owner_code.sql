-- list_owner_code: those of the given relations whose rows can't be read without running code that some other role wrote
-- since: 14
-- params: relations oid[]
-- columns: oid oid, owner text, trusted bool, what text
-- locks: none
-- source: PostgreSQL manual, 53 System Catalogs; the planner evaluates constants in CHECKs, indexes and statistics
-- Code is whatever a role wrote that is neither a superuser nor we. `trusted` tells that the relation
-- itself is such a role's: then there is none whose rights the code could safely be run with.
WITH RECURSIVE below AS (
  SELECT w.oid AS asked, w.oid FROM pg_catalog.unnest(%(relations)s::pg_catalog.oid[]) AS w (oid)
   UNION
  SELECT b.asked, e.oid
    FROM below b
   CROSS JOIN LATERAL (
     SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = b.oid
      UNION ALL
     SELECT d.refobjid
       FROM pg_catalog.pg_rewrite r
       JOIN pg_catalog.pg_class v ON v.oid = r.ev_class AND v.relkind = 'v'
       JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
                                  AND d.objid = r.oid
      WHERE r.ev_class = b.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.refobjid <> b.oid AND d.refobjid >= 16384) AS e (oid)
), involved AS (
  SELECT b.asked, b.oid FROM below b
   UNION
  -- the bounds of a partition are made of the keys above it
  SELECT w.oid, a.relid
    FROM pg_catalog.unnest(%(relations)s::pg_catalog.oid[]) AS w (oid)
   CROSS JOIN LATERAL pg_catalog.pg_partition_ancestors(w.oid) AS a (relid)
), parts AS (
  SELECT i.asked, 'pg_catalog.pg_class'::pg_catalog.regclass AS classid, i.oid AS objid, i.oid AS of
    FROM involved i
   UNION ALL
  SELECT i.asked, 'pg_catalog.pg_class'::pg_catalog.regclass, x.indexrelid, i.oid
    FROM involved i JOIN pg_catalog.pg_index x ON x.indrelid = i.oid
   UNION ALL
  SELECT i.asked, 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid, i.oid
    FROM involved i JOIN pg_catalog.pg_constraint k ON k.conrelid = i.oid AND k.contype = 'c'
   UNION ALL
  SELECT i.asked, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid, i.oid
    FROM involved i JOIN pg_catalog.pg_statistic_ext s ON s.stxrelid = i.oid
   UNION ALL
  SELECT i.asked, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, f.oid, i.oid
    FROM involved i
    JOIN pg_catalog.pg_attrdef f ON f.adrelid = i.oid
    JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
   WHERE a.attgenerated = 'v'
   UNION ALL
  SELECT i.asked, 'pg_catalog.pg_rewrite'::pg_catalog.regclass, r.oid, i.oid
    FROM involved i
    JOIN pg_catalog.pg_rewrite r ON r.ev_class = i.oid
    JOIN pg_catalog.pg_class v ON v.oid = r.ev_class AND v.relkind = 'v'
), strangers AS MATERIALIZED (
  SELECT u.oid, u.rolname
    FROM pg_catalog.pg_roles u
   WHERE NOT u.rolsuper AND u.rolname <> current_user
), code AS (
  SELECT p.asked, p.of, o.owner
    FROM parts p
    JOIN pg_catalog.pg_depend d ON d.classid = p.classid AND d.objid = p.objid
     AND (d.objsubid = 0 OR d.classid <> 'pg_catalog.pg_class'::pg_catalog.regclass)
   CROSS JOIN LATERAL (
     SELECT f.proowner FROM pg_catalog.pg_proc f
      WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND f.oid = d.refobjid
      UNION ALL
     SELECT x.oprowner FROM pg_catalog.pg_operator x
      WHERE d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND x.oid = d.refobjid
      UNION ALL
     -- what casts to a domain, or to a row that has one, runs its CHECKs
     SELECT t.typowner FROM pg_catalog.pg_type t
      WHERE d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.oid = d.refobjid
        AND t.typtype IN ('c', 'd')) AS o (owner)
   WHERE d.refobjid >= 16384
   UNION ALL
  SELECT i.asked, i.oid, v.relowner
    FROM involved i JOIN pg_catalog.pg_class v ON v.oid = i.oid AND v.relkind = 'v'
)
SELECT DISTINCT ON (c.oid)
  c.oid,
  pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
  NOT EXISTS (SELECT FROM strangers s WHERE s.oid = c.relowner) AS trusted,
  pg_catalog.format('code of %%s in %%s', s.rolname, k.of::pg_catalog.regclass) AS what
FROM code k
JOIN strangers s ON s.oid = k.owner
JOIN pg_catalog.pg_class c ON c.oid = k.asked
ORDER BY c.oid, s.rolname, k.of
