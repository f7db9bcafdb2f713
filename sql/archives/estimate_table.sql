-- estimate_table: what the catalog guesses of one table's content, one row; rows -1 if unknown
-- since: 14
-- params: relation text (quoted, qualified name)
-- columns: rows float4, size_bytes int8
-- locks: none
-- source: PostgreSQL manual, 53.11 pg_class
SELECT c.reltuples AS rows, (c.relpages::int8 + coalesce(t.relpages, 0)) * 8192 AS size_bytes
FROM pg_catalog.pg_class c
LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
WHERE c.oid = pg_catalog.to_regclass(%(relation)s)
