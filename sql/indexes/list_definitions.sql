-- list_definitions: the DDL of indexes, or of their unique constraints
-- since: 15
-- params: oids oid[]
-- columns: oid oid, definition text, constraint_definition text
-- locks: ACCESS SHARE on tables of indexes with an expression or a predicate
-- source: PostgreSQL manual, 9.26 System Information Functions
SELECT
  w.oid,
  pg_catalog.pg_get_indexdef(w.oid) AS definition,
  CASE WHEN k.contype = 'u' THEN pg_catalog.pg_get_constraintdef(k.oid) END AS constraint_definition
FROM pg_catalog.unnest(%(oids)s::oid[]) AS w (oid)
LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = w.oid AND k.contype IN ('p', 'u', 'x')
