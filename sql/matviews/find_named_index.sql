-- find_named_index: the relation with the wanted name of a view's unique index, none or one row
-- since: 15
-- params: view oid, name text, columns text[]
-- columns: oid oid, what text, is_ours bool, is_valid bool, is_building bool
-- locks: none
-- source: PostgreSQL manual, 53.26 pg_index, 28.4.2 pg_stat_progress_create_index
-- `is_ours` means a unique index of this view on exactly these plain columns.
SELECT
  c.oid,
  CASE c.relkind WHEN 'i' THEN pg_catalog.format('an index of %%s', i.indrelid::pg_catalog.regclass)
    WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' WHEN 'S' THEN 'a sequence'
    WHEN 'r' THEN 'a table' WHEN 'p' THEN 'a partitioned table' ELSE 'another relation' END AS what,
  COALESCE(i.indrelid = v.oid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
    AND ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute AS a
              WHERE a.attrelid = v.oid AND a.attnum = ANY (i.indkey::pg_catalog.int2[])
              ORDER BY 1)
      = ARRAY(SELECT k.name FROM pg_catalog.unnest(%(columns)s::pg_catalog.text[]) AS k (name)
              ORDER BY 1),
    false) AS is_ours,
  COALESCE(i.indisvalid, true) AS is_valid,
  EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS p
          WHERE p.relid = v.oid AND p.pid <> pg_catalog.pg_backend_pid()) AS is_building
FROM pg_catalog.pg_class AS v
JOIN pg_catalog.pg_class AS c ON c.relnamespace = v.relnamespace
LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
WHERE v.oid = %(view)s AND c.relname = %(name)s::pg_catalog.text
