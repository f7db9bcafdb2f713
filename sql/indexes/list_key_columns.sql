-- list_key_columns: the columns of tables, with what decides their place in an index
-- since: 15
-- params: tables oid[]
-- columns: table_oid oid, number int2, name text, width int4, n_distinct float4
-- locks: none
-- source: PostgreSQL manual, 53.7 pg_attribute, 54.26 pg_stats
-- Of a partitioned table the statistics of all partitions together.
SELECT a.attrelid AS table_oid, a.attnum AS number, a.attname::text AS name, s.width, s.n_distinct
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
  SELECT p.avg_width AS width, p.n_distinct
  FROM pg_catalog.pg_stats AS p
  WHERE p.schemaname = n.nspname AND p.tablename = c.relname AND p.attname = a.attname
    AND p.inherited = (c.relkind = 'p')
) AS s ON true
WHERE a.attrelid = ANY (%(tables)s::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped
