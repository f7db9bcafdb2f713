-- list_columns: one row for each column of the given tables
-- since: 14
-- params: tables oid[]
-- columns: table_oid oid, number int2, name text
-- locks: none
-- source: PostgreSQL manual, 53.7 pg_attribute
SELECT a.attrelid AS table_oid, a.attnum AS number, a.attname::text AS name
  FROM pg_catalog.pg_attribute a
 WHERE a.attrelid = ANY (%(tables)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
