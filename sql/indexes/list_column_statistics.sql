-- list_column_statistics: width and distribution of the columns of tables of the given names
-- since: 15
-- params: names text[]
-- columns: schema text, table_name text, column_name text, inherited bool, width int4, n_distinct float4, null_fraction float4, top_frequency float4, n_common int4, common_fraction float4, least_common float4
-- locks: none
-- source: PostgreSQL manual, 54.26 pg_stats
-- Columns that this role may not read have no row.
SELECT
  s.schemaname::text AS schema,
  s.tablename::text AS table_name,
  s.attname::text AS column_name,
  s.inherited,
  s.avg_width AS width,
  s.n_distinct,
  s.null_frac AS null_fraction,
  s.most_common_freqs[1] AS top_frequency,
  pg_catalog.cardinality(s.most_common_freqs) AS n_common,
  (SELECT pg_catalog.sum(f.share) FROM pg_catalog.unnest(s.most_common_freqs) AS f (share)) AS common_fraction,
  s.most_common_freqs[pg_catalog.cardinality(s.most_common_freqs)] AS least_common
FROM pg_catalog.pg_stats s
WHERE s.tablename = ANY (%(names)s::name[])
