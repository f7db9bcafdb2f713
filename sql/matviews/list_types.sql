-- list_types: for each type, everything it is made of
-- since: 14
-- params: types oid[]
-- columns: root oid, oid oid, shape text
-- locks: none
-- source: PostgreSQL manual, 53.65 pg_type, 53.20 pg_enum
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
  pg_catalog.concat(t.xmin, ':', (
    SELECT pg_catalog.hashtextextended(pg_catalog.string_agg(
      pg_catalog.concat(e.oid, ':', e.xmin), ',' ORDER BY e.oid), 0)
    FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid
  ), ':', (
    SELECT pg_catalog.hashtextextended(pg_catalog.string_agg(
      pg_catalog.concat(a.attnum, ':', a.xmin), ',' ORDER BY a.attnum), 0)
    FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = t.typrelid AND a.attnum > 0
  )) AS shape
FROM part AS p
JOIN pg_catalog.pg_type AS t ON t.oid = p.oid
