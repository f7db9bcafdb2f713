-- list_columns: one row for each of the given columns
-- since: 15
-- params: tables oid[], numbers int2[] (pairs)
-- columns: table_oid oid, number int2, name text
-- locks: none
-- source: PostgreSQL manual, 53.7 pg_attribute
SELECT a.attrelid AS table_oid, a.attnum AS number, a.attname::text AS name
FROM ROWS FROM (pg_catalog.unnest(%(tables)s::oid[]), pg_catalog.unnest(%(numbers)s::int2[])) AS w (table_oid, number)
JOIN pg_catalog.pg_attribute a ON a.attrelid = w.table_oid AND a.attnum = w.number
