-- list_matviews: all materialized views of the database, with what they read
-- since: 15
-- params:
-- columns: schema text, name text, is_populated bool, unique_keys jsonb, reads jsonb, functions jsonb
-- locks: none
-- source: PostgreSQL manual, REFRESH MATERIALIZED VIEW, 53.18 pg_depend
-- Unique keys are those that a concurrent refresh can use. Functions are those whose body the catalog
-- does not resolve, and that no extension has.
SELECT
  n.nspname::pg_catalog.text AS schema,
  c.relname::pg_catalog.text AS name,
  c.relispopulated AS is_populated,
  (
    SELECT pg_catalog.jsonb_agg((
      SELECT pg_catalog.jsonb_agg(a.attname ORDER BY k.place)
      FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (attnum, place)
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
      WHERE k.place <= i.indnkeyatts
    ) ORDER BY i.indnkeyatts, i.indexrelid)
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
      AND i.indpred IS NULL AND 0 <> ALL (i.indkey::pg_catalog.int2[]) AND x.relam = 403
  ) AS unique_keys,
  (
    SELECT pg_catalog.jsonb_agg(DISTINCT pg_catalog.jsonb_build_array(rn.nspname, r.relname))
    FROM pg_catalog.pg_rewrite AS w
    JOIN pg_catalog.pg_depend AS d
      ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
     AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> c.oid
    JOIN pg_catalog.pg_class AS r ON r.oid = d.refobjid
    JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.relnamespace
    WHERE w.ev_class = c.oid
  ) AS reads,
  (
    SELECT pg_catalog.jsonb_agg(DISTINCT pg_catalog.jsonb_build_array(fn.nspname, f.proname))
    FROM pg_catalog.pg_rewrite AS w
    JOIN pg_catalog.pg_depend AS d
      ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
     AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
    JOIN pg_catalog.pg_proc AS f ON f.oid = d.refobjid AND f.prosqlbody IS NULL
    JOIN pg_catalog.pg_language AS l ON l.oid = f.prolang AND l.lanname NOT IN ('internal', 'c')
    JOIN pg_catalog.pg_namespace AS fn ON fn.oid = f.pronamespace
    WHERE w.ev_class = c.oid
      AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend AS e
        WHERE e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid = f.oid
          AND e.deptype = 'e')
  ) AS functions
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'm'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'maintenance')
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS e
    WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid
      AND e.deptype = 'e')
ORDER BY 1, 2
