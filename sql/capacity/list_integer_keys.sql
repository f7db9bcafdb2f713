-- list_integer_keys: unique smallint and integer columns whose values no sequence gives, as sampled
-- since: 15
-- params: least_rows float8
-- columns: table_oid oid, attnum int4, schema text, name text, column_name text, column_bytes int4, correlation float8, bounds text, n_rows float8
-- locks: none
-- source: PostgreSQL manual, 54.28 pg_stats
-- Of columns that this role may not read, there are no statistics. The bounds of a histogram are a
-- sample: the largest value is at least the last of them.
SELECT
  c.oid AS table_oid,
  a.attnum::int4,
  n.nspname::text AS schema,
  c.relname::text AS name,
  a.attname::text AS column_name,
  b.typlen::int4 AS column_bytes,
  s.correlation::float8,
  s.histogram_bounds::text AS bounds,
  c.reltuples::float8 AS n_rows
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
JOIN pg_catalog.pg_type b ON b.oid = coalesce(nullif(y.typbasetype, 0), y.oid)
JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname
  AND s.attname = a.attname AND NOT s.inherited
WHERE i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL AND i.indisvalid
  AND c.relkind = 'r' AND c.relpersistence <> 't' AND c.reltuples >= %(least_rows)s::float8
  AND b.oid IN ('pg_catalog.int2'::pg_catalog.regtype, 'pg_catalog.int4'::pg_catalog.regtype)
  AND NOT a.atthasdef AND a.attidentity = ''
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY 3, 4, 5
