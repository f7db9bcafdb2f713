-- list_columns: width and repeated values of the columns of some tables
-- since: 15
-- params: tables oid[]
-- columns: table_oid oid, number int2, length int2, alignment text, is_dropped bool, width int4, null_fraction float4, n_distinct float4, n_common int4, common_fraction float4, is_virtual bool, is_defaulted bool, is_readable bool, is_analyzed bool
-- locks: none
-- source: PostgreSQL manual, 54.24 pg_stats (rows hide where SELECT is not granted)
-- The most common values are read only for columns that are the only key of an index. Virtual columns
-- (18 and later) are not stored. Rights are read only where there are no statistics.
SELECT
  a.attrelid AS table_oid,
  a.attnum AS number,
  a.attlen AS length,
  a.attalign::text AS alignment,
  a.attisdropped AS is_dropped,
  s.avg_width AS width,
  s.null_frac AS null_fraction,
  s.n_distinct,
  coalesce(pg_catalog.cardinality(s.most_common_freqs), 0) AS n_common,
  coalesce((SELECT pg_catalog.sum(f) FROM pg_catalog.unnest(s.most_common_freqs) f
            WHERE EXISTS (SELECT FROM pg_catalog.pg_index i
                          WHERE i.indrelid = a.attrelid AND i.indnatts = 1
                            AND i.indkey[0] = a.attnum)), 0)::float4 AS common_fraction,
  a.attgenerated = 'v' AS is_virtual,
  a.atthasmissing AS is_defaulted,
  CASE WHEN s.avg_width IS NULL AND NOT a.attisdropped
       THEN pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT') IS NOT FALSE
       ELSE true END AS is_readable,
  a.attstattarget IS DISTINCT FROM 0 AS is_analyzed
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
LEFT JOIN pg_catalog.pg_stats s
       ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
      AND NOT s.inherited
WHERE c.oid = ANY (%(tables)s::oid[])
ORDER BY a.attrelid, a.attnum
