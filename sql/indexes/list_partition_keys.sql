-- list_partition_keys: the columns by which tables are partitioned, without those within expressions
-- since: 15
-- params: oids oid[]
-- columns: oid oid, columns text[], has_expression bool
-- locks: none
-- source: PostgreSQL manual, 53.35 pg_partitioned_table
SELECT p.partrelid AS oid,
  ARRAY(SELECT a.attname::pg_catalog.text
          FROM pg_catalog.unnest(p.partattrs::pg_catalog.int2[]) WITH ORDINALITY AS k (attnum, place)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = k.attnum
         WHERE k.attnum <> 0 ORDER BY k.place) AS columns,
  p.partexprs IS NOT NULL AS has_expression
FROM pg_catalog.pg_partitioned_table p
WHERE p.partrelid = ANY (%(oids)s::pg_catalog.oid[])
