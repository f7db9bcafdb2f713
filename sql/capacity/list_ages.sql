-- list_ages: the tables with the oldest transaction and multixact ids, the oldest first
-- since: 15
-- params: least_age int8, most int4
-- columns: schema text, name text, is_toast bool, is_temporary bool, xid_age int8, multixact_age int8, size_bytes int8, n_tables int8
-- locks: none
-- source: PostgreSQL manual, 25.1.5 Preventing Transaction ID Wraparound Failures
-- The age of a TOAST table counts for the table that it belongs to: VACUUM of that one freezes both.
SELECT
  n.nspname::text AS schema,
  coalesce(o.relname, c.relname)::text AS name,
  c.relkind = 't' AS is_toast,
  coalesce(o.relpersistence, c.relpersistence) = 't' AS is_temporary,
  pg_catalog.age(c.relfrozenxid)::int8 AS xid_age,
  pg_catalog.mxid_age(c.relminmxid)::int8 AS multixact_age,
  c.relpages::int8 * pg_catalog.current_setting('block_size')::int8 AS size_bytes,
  pg_catalog.count(*) OVER () AS n_tables
FROM pg_catalog.pg_class c
LEFT JOIN pg_catalog.pg_class o ON c.relkind = 't' AND o.reltoastrelid = c.oid
JOIN pg_catalog.pg_namespace n ON n.oid = coalesce(o.relnamespace, c.relnamespace)
WHERE c.relkind IN ('r', 'm', 't') AND c.relfrozenxid <> '0'::xid
  AND greatest(pg_catalog.age(c.relfrozenxid), pg_catalog.mxid_age(c.relminmxid)) >= %(least_age)s::int8
ORDER BY greatest(pg_catalog.age(c.relfrozenxid), pg_catalog.mxid_age(c.relminmxid)) DESC, 1, 2
LIMIT %(most)s::int4
