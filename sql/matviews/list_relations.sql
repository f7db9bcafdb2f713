-- list_relations: the fingerprint's properties of each relation that a view reads
-- since: 15
-- params: relations oid[]
-- columns: oid oid, schema text, name text, kind text, filenode oid, row_security bool, is_heap bool, n_inserted int8, n_updated int8, n_deleted int8, shape text, types oid[], rule text
-- locks: none
-- source: PostgreSQL manual, virtual generated columns are computed when read; 27.2.21 per-object statistics functions, 53.7 pg_attribute
SELECT
  c.oid,
  n.nspname::pg_catalog.text AS schema,
  c.relname::pg_catalog.text AS name,
  c.relkind::pg_catalog.text AS kind,
  c.relfilenode AS filenode,
  c.relrowsecurity AS row_security,
  c.relam IN (0, 2) AS is_heap,
  pg_catalog.pg_stat_get_tuples_inserted(c.oid) AS n_inserted,
  pg_catalog.pg_stat_get_tuples_updated(c.oid) AS n_updated,
  pg_catalog.pg_stat_get_tuples_deleted(c.oid) AS n_deleted,
  pg_catalog.concat(w.oid, ':', w.xmin, ':', a.shape, v.shape) AS shape,
  a.types,
  COALESCE(w.ev_action::pg_catalog.text, v.trees) AS rule
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_rewrite AS w
  ON w.ev_class = c.oid AND w.ev_type = '1' AND c.relkind IN ('v', 'm')
CROSS JOIN LATERAL (
  SELECT
    pg_catalog.hashtextextended(pg_catalog.string_agg(
      pg_catalog.concat(b.attnum, ':', b.xmin), ',' ORDER BY b.attnum), 0) AS shape,
    pg_catalog.array_agg(DISTINCT b.atttypid) FILTER (WHERE b.atttypid <> 0) AS types
  FROM pg_catalog.pg_attribute AS b
  WHERE b.attrelid = c.oid AND b.attnum > 0
) AS a
CROSS JOIN LATERAL (
  SELECT
    ':' || pg_catalog.string_agg(pg_catalog.concat(d.oid, ':', d.xmin), ',' ORDER BY d.oid) AS shape,
    pg_catalog.string_agg(d.adbin::pg_catalog.text, ' ' ORDER BY d.oid) AS trees
  FROM pg_catalog.pg_attribute AS b
  JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = b.attrelid AND d.adnum = b.attnum
  WHERE b.attrelid = c.oid AND b.attgenerated = 'v'
) AS v
WHERE c.oid = ANY (%(relations)s)
