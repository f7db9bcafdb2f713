-- list_matviews: relations by name, with the properties that a refresh needs
-- since: 17
-- params: schemas text[], names text[]
-- columns: schema text, name text, oid oid, kind text, is_populated bool, n_rows float4, owner text, is_owner bool, may_refresh bool, lends bool, unique_keys jsonb, column_names text[]
-- locks: none
-- source: PostgreSQL manual, REFRESH MATERIALIZED VIEW; matview.c, is_usable_unique_index
SELECT
  n.nspname::pg_catalog.text AS schema,
  c.relname::pg_catalog.text AS name,
  c.oid,
  c.relkind::pg_catalog.text AS kind,
  c.relispopulated AS is_populated,
  c.reltuples AS n_rows,
  pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text AS owner,
  pg_catalog.pg_has_role(c.relowner, 'USAGE') AS is_owner,
  pg_catalog.pg_has_role(c.relowner, 'USAGE')
    OR pg_catalog.has_table_privilege(c.oid, 'MAINTAIN') AS may_refresh,
  -- a concurrent refresh compares in a temporary table of the owner's
  pg_catalog.has_database_privilege(c.relowner, pg_catalog.current_database(), 'TEMPORARY') AS lends,
  (
    SELECT pg_catalog.jsonb_agg((
      SELECT pg_catalog.jsonb_agg(a.attname ORDER BY k.place)
      FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (attnum, place)
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
    ) ORDER BY i.indexrelid)
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
      AND i.indpred IS NULL AND 0 <> ALL (i.indkey::pg_catalog.int2[]) AND x.relam = 403
  ) AS unique_keys,
  ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum) AS column_names
FROM ROWS FROM (pg_catalog.unnest(%(schemas)s::pg_catalog.text[]),
                pg_catalog.unnest(%(names)s::pg_catalog.text[])) AS w (schema, name)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.name
