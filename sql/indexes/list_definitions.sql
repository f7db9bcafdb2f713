-- list_definitions: the DDL of indexes, or of their unique constraints, with comments and statistics targets
-- since: 15
-- params: oids oid[]
-- columns: oid oid, definition text, constraint_definition text, comment text, constraint_comment text, targets int4[]
-- locks: ACCESS SHARE on tables of indexes with an expression or a predicate
-- source: PostgreSQL manual, 9.26 System Information Functions
SELECT
  w.oid,
  pg_catalog.pg_get_indexdef(w.oid) AS definition,
  CASE WHEN k.contype = 'u' THEN pg_catalog.pg_get_constraintdef(k.oid) END AS constraint_definition,
  pg_catalog.obj_description(w.oid, 'pg_class') AS comment,
  pg_catalog.obj_description(k.oid, 'pg_constraint') AS constraint_comment,
  -- a target that was not set is -1 up to 16, and null since
  ARRAY(SELECT NULLIF(a.attstattarget, -1)::int4
          FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = w.oid AND a.attnum > 0
         ORDER BY a.attnum) AS targets
FROM pg_catalog.unnest(%(oids)s::oid[]) AS w (oid)
LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = w.oid AND k.contype IN ('p', 'u', 'x')
