-- list_declared_constraints: which of the given names of constraints the given tables have
-- since: 15
-- params: tables oid[], names text[] (pairs)
-- columns: table_oid oid, name text, kind text, is_validated bool, definition text
-- locks: ACCESS SHARE on the tables
-- source: PostgreSQL manual, 53.13 pg_constraint
SELECT k.conrelid AS table_oid, k.conname::text AS name, k.contype::text AS kind, k.convalidated AS is_validated,
       pg_catalog.pg_get_constraintdef(k.oid) AS definition
FROM ROWS FROM (pg_catalog.unnest(%(tables)s::oid[]), pg_catalog.unnest(%(names)s::text[])) AS w (table_oid, name)
JOIN pg_catalog.pg_constraint k ON k.conrelid = w.table_oid AND k.conname = w.name
