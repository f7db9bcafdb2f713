-- list_types: for each type, its component types, and the functions applied to its values
-- since: 15
-- params: types oid[]
-- columns: root oid, oid oid, name text, kind text, is_array bool, shape text, checks text, functions oid[], extension text, has_own_class bool, input oid, output oid
-- locks: none
-- source: PostgreSQL manual, 53.65 pg_type, 53.20 pg_enum, 53.42 pg_range, 53.10 pg_cast
-- Functions are a range's canonical function, those that sort its bounds, and casts to JSON, which
-- to_jsonb looks up.
WITH RECURSIVE part (root, oid) AS (
  SELECT t.oid, t.oid
  FROM pg_catalog.unnest(%(types)s::pg_catalog.oid[]) AS t (oid)
  UNION
  SELECT p.root, n.oid
  FROM part AS p
  JOIN pg_catalog.pg_type AS t ON t.oid = p.oid
  CROSS JOIN LATERAL (
    SELECT t.typelem AS oid WHERE t.typelem <> 0
    UNION ALL
    SELECT t.typbasetype WHERE t.typbasetype <> 0
    UNION ALL
    SELECT a.atttypid FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND a.atttypid <> 0
    UNION ALL
    SELECT r.rngsubtype FROM pg_catalog.pg_range AS r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
  ) AS n
)
SELECT
  p.root,
  p.oid,
  pg_catalog.format_type(t.oid, NULL) AS name,
  t.typtype::pg_catalog.text AS kind,
  t.typelem <> 0 AND t.typlen = -1 AS is_array,
  CASE WHEN t.oid >= 16384 THEN pg_catalog.concat(t.xmin, ':', (
    SELECT pg_catalog.hashtextextended(pg_catalog.string_agg(
      pg_catalog.concat(e.oid, ':', e.xmin), ',' ORDER BY e.oid), 0)
    FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid
  ), ':', (
    SELECT pg_catalog.hashtextextended(pg_catalog.string_agg(
      pg_catalog.concat(a.attnum, ':', a.xmin), ',' ORDER BY a.attnum), 0)
    FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = t.typrelid AND a.attnum > 0
  ), ':', c.shape) ELSE '' END AS shape,
  c.checks,
  ARRAY(
    SELECT r.rngcanonical::pg_catalog.oid FROM pg_catalog.pg_range AS r
    WHERE t.oid IN (r.rngtypid, r.rngmultitypid) AND r.rngcanonical::pg_catalog.oid <> 0
    UNION
    SELECT s.amproc::pg_catalog.oid
    FROM pg_catalog.pg_range AS r
    JOIN pg_catalog.pg_opclass AS k ON k.oid = r.rngsubopc
    JOIN pg_catalog.pg_amproc AS s ON s.amprocfamily = k.opcfamily
    WHERE t.oid IN (r.rngtypid, r.rngmultitypid) AND s.amproc::pg_catalog.oid >= 16384
    UNION
    SELECT k.castfunc FROM pg_catalog.pg_cast AS k
    WHERE k.castsource = t.oid AND t.oid >= 16384 AND k.casttarget IN (114, 3802)
      AND k.castfunc <> 0
  ) AS functions,
  (SELECT e.extname::pg_catalog.text
   FROM pg_catalog.pg_depend AS d
   JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
   WHERE t.oid >= 16384 AND d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
     AND d.objid = t.oid AND d.deptype = 'e'
     AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass) AS extension,
  EXISTS (SELECT FROM pg_catalog.pg_opclass AS k
          WHERE k.opcintype = t.oid AND k.oid >= 16384 AND k.opcmethod IN (403, 405)
            AND (k.opcdefault OR t.oid >= 16384)
  ) AS has_own_class,
  t.typinput::pg_catalog.oid AS input,
  t.typoutput::pg_catalog.oid AS output
FROM part AS p
JOIN pg_catalog.pg_type AS t ON t.oid = p.oid
CROSS JOIN LATERAL (
  SELECT
    pg_catalog.string_agg(k.conbin::pg_catalog.text, ' ' ORDER BY k.oid) AS checks,
    pg_catalog.string_agg(pg_catalog.concat(k.oid, ':', k.xmin), ',' ORDER BY k.oid) AS shape
  FROM pg_catalog.pg_constraint AS k
  WHERE t.typtype = 'd' AND k.contypid = t.oid
) AS c
