-- find_table: the relation with a name, one row; none if the name is free
-- since: 15
-- params: relation text (quoted, qualified name)
-- columns: oid oid, kind text, attached bool, comment text, is_ours bool
-- locks: none
-- source: PostgreSQL manual, 53.11 pg_class
SELECT
  c.oid,
  c.relkind::text AS kind,
  c.relispartition AS attached,
  pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
  pg_catalog.pg_has_role(c.relowner, 'MEMBER') AS is_ours
FROM pg_catalog.pg_class c
WHERE c.oid = pg_catalog.to_regclass(%(relation)s)
