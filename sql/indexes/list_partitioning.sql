-- list_partitioning: how tables are partitioned, with the key columns of all levels
-- since: 15
-- params: schemas text[], names text[]
-- columns: schema text, name text, strategy text, n_partitions int8, columns text[], types text[], has_expression bool, is_pruning bool
-- locks: none
-- source: PostgreSQL manual, 53.35 pg_partitioned_table, 53.27 pg_inherits
WITH RECURSIVE tree AS (
  SELECT c.oid AS root, c.oid AS part
  FROM ROWS FROM (
      pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[])
    ) AS w (schema, name)
  JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema::name
  JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.name::name
  WHERE c.relkind = 'p'
  UNION
  SELECT t.root, i.inhrelid
  FROM tree AS t
  JOIN pg_catalog.pg_inherits AS i ON i.inhparent = t.part
  WHERE NOT i.inhdetachpending
), key AS (
  SELECT DISTINCT t.root, a.attname::text AS name, a.atttypid::pg_catalog.regtype::text AS type
  FROM tree AS t
  JOIN pg_catalog.pg_partitioned_table AS p ON p.partrelid = t.part
  CROSS JOIN LATERAL pg_catalog.unnest(p.partattrs::pg_catalog.int2[]) AS k (attnum)
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.part AND a.attnum = k.attnum
  WHERE k.attnum <> 0
)
SELECT n.nspname::text AS schema, c.relname::text AS name, top.partstrat::text AS strategy,
  (SELECT pg_catalog.count(*) FROM tree AS t
     JOIN pg_catalog.pg_class AS l ON l.oid = t.part
    WHERE t.root = c.oid AND l.relkind <> 'p') AS n_partitions,
  ARRAY(SELECT k.name FROM key AS k WHERE k.root = c.oid ORDER BY k.name) AS columns,
  ARRAY(SELECT k.type FROM key AS k WHERE k.root = c.oid ORDER BY k.name) AS types,
  EXISTS (SELECT FROM tree AS t
            JOIN pg_catalog.pg_partitioned_table AS p ON p.partrelid = t.part
           WHERE t.root = c.oid AND p.partexprs IS NOT NULL) AS has_expression,
  pg_catalog.current_setting('enable_partition_pruning')::bool AS is_pruning
FROM (SELECT DISTINCT t.root FROM tree AS t) AS found
JOIN pg_catalog.pg_class AS c ON c.oid = found.root
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_partitioned_table AS top ON top.partrelid = c.oid
