-- list_owner_code: those of the given relations whose reading runs code of another role
-- since: 15
-- params: relations oid[]
-- columns: oid oid, owner text, trusted bool, what text
-- locks: none
-- source: PostgreSQL manual, 53 System Catalogs
-- Code is owned by a role that is neither a superuser nor ours: views, and functions, operators and
-- domains that a query evaluates, or its planning if they are applied to constants. `trusted` means
-- that no such role owns the relation: then no role's rights are low enough to run the code.
WITH RECURSIVE strangers AS MATERIALIZED (
  SELECT u.oid, u.rolname
    FROM pg_catalog.pg_roles u
   WHERE NOT u.rolsuper AND u.rolname <> current_user
), written AS MATERIALIZED (
  SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass AS classid, f.oid, s.rolname
    FROM pg_catalog.pg_proc f JOIN strangers s ON s.oid = f.proowner
   WHERE f.oid >= 16384
   UNION ALL
  SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, o.oid, s.rolname
    FROM pg_catalog.pg_operator o JOIN strangers s ON s.oid = o.oprowner
   WHERE o.oid >= 16384
   UNION ALL
  -- a domain runs code only by its CHECKs; each domain that it is made of is found alone
  SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, s.rolname
    FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_type t ON t.oid = k.contypid
    JOIN strangers s ON s.oid = t.typowner
   WHERE k.contypid >= 16384 AND k.contype = 'c'
), users AS MATERIALIZED (
  SELECT d.classid, d.objid, w.rolname
    FROM written w
    JOIN pg_catalog.pg_depend d ON d.refclassid = w.classid AND d.refobjid = w.oid
   WHERE d.objsubid = 0 OR d.classid <> 'pg_catalog.pg_class'::pg_catalog.regclass
), holders AS MATERIALIZED (
  SELECT p.partrelid AS oid, u.rolname
    FROM users u JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = u.objid
   WHERE u.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
   UNION
  SELECT i.indrelid, u.rolname
    FROM users u JOIN pg_catalog.pg_index i ON i.indexrelid = u.objid
   WHERE u.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
   UNION
  SELECT k.conrelid, u.rolname
    FROM users u JOIN pg_catalog.pg_constraint k ON k.oid = u.objid AND k.conrelid <> 0
   WHERE u.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
   UNION
  SELECT e.stxrelid, u.rolname
    FROM users u JOIN pg_catalog.pg_statistic_ext e ON e.oid = u.objid
   WHERE u.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass
   UNION
  SELECT f.adrelid, u.rolname
    FROM users u
    JOIN pg_catalog.pg_attrdef f ON f.oid = u.objid
    JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
   WHERE u.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND a.attgenerated = 'v'
   UNION
  SELECT r.ev_class, u.rolname
    FROM users u
    JOIN pg_catalog.pg_rewrite r ON r.oid = u.objid
    JOIN pg_catalog.pg_class v ON v.oid = r.ev_class AND v.relkind = 'v'
   WHERE u.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
), read AS (
  -- what reading a view reads
  SELECT w.oid AS asked, w.oid FROM pg_catalog.unnest(%(relations)s::pg_catalog.oid[]) AS w (oid)
   UNION
  SELECT b.asked, d.refobjid
    FROM read b
    JOIN pg_catalog.pg_rewrite r ON r.ev_class = b.oid
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
                               AND d.objid = r.oid
                               AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
   WHERE d.refobjid >= 16384
     AND (SELECT v.relkind FROM pg_catalog.pg_class v WHERE v.oid = b.oid) = 'v'
), above AS (
  SELECT h.oid AS holder, h.rolname, h.oid FROM holders h
   UNION
  SELECT a.holder, a.rolname, i.inhparent
    FROM above a JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.oid
), code AS (
  SELECT b.asked, a.holder, a.rolname FROM read b JOIN above a ON a.oid = b.oid
   UNION ALL
  -- the bounds of a partition are made of the keys above it
  SELECT b.asked, h.oid, h.rolname
    FROM holders h
    JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = h.oid
   CROSS JOIN read b
   WHERE h.oid IN (SELECT a.relid FROM pg_catalog.pg_partition_ancestors(b.oid) AS a (relid))
   UNION ALL
  SELECT b.asked, v.oid, s.rolname
    FROM read b
    JOIN pg_catalog.pg_class v ON v.oid = b.oid AND v.relkind = 'v'
    JOIN strangers s ON s.oid = v.relowner
)
SELECT DISTINCT ON (c.oid)
  c.oid,
  pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
  NOT EXISTS (SELECT FROM strangers s WHERE s.oid = c.relowner) AS trusted,
  pg_catalog.concat('code of ', k.rolname, ' in ', k.holder::pg_catalog.regclass) AS what
FROM code k
JOIN pg_catalog.pg_class c ON c.oid = k.asked
ORDER BY c.oid, k.rolname, k.holder
