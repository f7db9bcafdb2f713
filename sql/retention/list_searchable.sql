-- list_searchable: which of some tables give their lowest and highest key at once: by an index, or since they are small
-- since: 15
-- params: tables int8[], columns text[] (pairs), most_pages int8
-- columns: oid int8
-- locks: none
-- source: PostgreSQL manual, 54.26 pg_index; keys of built-in types and whole indexes only
SELECT DISTINCT w.oid
FROM ROWS FROM (pg_catalog.unnest(%(tables)s::int8[]), pg_catalog.unnest(%(columns)s::text[]))
  AS w (oid, name)
JOIN pg_catalog.pg_class r ON r.oid = w.oid AND r.relkind = 'r'
JOIN pg_catalog.pg_attribute a
  ON a.attrelid = w.oid AND a.attname = w.name AND NOT a.attisdropped
JOIN pg_catalog.pg_type t
  ON t.oid = a.atttypid AND t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace
WHERE r.reltuples >= 0 AND r.relpages <= %(most_pages)s::int8
  OR EXISTS (
    SELECT FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
    JOIN pg_catalog.pg_am m ON m.oid = c.relam AND m.amname = 'btree'
    JOIN pg_catalog.pg_opclass o
      ON o.oid = i.indclass[0] AND o.opcdefault
      AND o.opcnamespace = 'pg_catalog'::pg_catalog.regnamespace
    WHERE i.indrelid = w.oid AND i.indkey[0] = a.attnum AND i.indisvalid AND i.indpred IS NULL
  )
