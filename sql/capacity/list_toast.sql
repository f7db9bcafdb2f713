-- list_toast: tables whose TOAST table has many chunks, most first
-- since: 15
-- params: least_chunks float8
-- columns: schema text, name text, toast_oid oid, n_chunks float8, n_rows float8, n_columns int8
-- locks: none
-- source: PostgreSQL manual, 73.2 TOAST
-- Numbers are those of the last VACUUM or ANALYZE. A value has one OID, and one chunk or more.
SELECT
  n.nspname::text AS schema,
  c.relname::text AS name,
  t.oid AS toast_oid,
  t.reltuples::float8 AS n_chunks,
  c.reltuples::float8 AS n_rows,
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attstorage <> 'p')
    AS n_columns
FROM pg_catalog.pg_class t
JOIN pg_catalog.pg_class c ON c.reltoastrelid = t.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE t.relkind = 't' AND t.reltuples >= %(least_chunks)s::float8
ORDER BY t.reltuples DESC, 1, 2
LIMIT 100
