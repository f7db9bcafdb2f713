-- measure_table: size of a table, of its indexes, and of an index to be built on given columns
-- since: 15
-- params: relation oid, columns text[]
-- columns: table_bytes int8, total_bytes int8, n_rows float8, key_bytes int8, tablespace text
-- locks: ACCESS SHARE
-- source: PostgreSQL manual, 9.28.7 Database Object Management Functions, 64.1.5 B-Tree pages
SELECT
  pg_catalog.pg_table_size(c.oid) AS table_bytes,
  pg_catalog.pg_total_relation_size(c.oid) AS total_bytes,
  c.reltuples::float8 AS n_rows,
  -- pg_stats shows widths only to those who may read the table; 16 bytes are assumed otherwise
  (greatest(c.reltuples, 0) * (8 + 8 * pg_catalog.ceil((
     SELECT coalesce(pg_catalog.sum(coalesce(s.avg_width, 16)), 16)
       FROM pg_catalog.unnest(%(columns)s::text[]) AS w (name)
       LEFT JOIN pg_catalog.pg_stats s
              ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = w.name
             AND NOT s.inherited) / 8.0) + 4) / 0.9)::int8 AS key_bytes,
  nullif(pg_catalog.pg_tablespace_location(coalesce(nullif(c.reltablespace, 0), d.dattablespace)), '') AS tablespace
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
WHERE c.oid = %(relation)s
