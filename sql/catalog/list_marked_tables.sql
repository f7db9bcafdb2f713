-- list_marked_tables: tables with a mark of ours in their comment, see ddl/marks.py
-- since: 15
-- params: schemas text[]
-- columns: oid oid, schema text, name text, comment text, attached bool, pages int4, kind text, owner text
-- locks: none
-- source: PostgreSQL manual, 53.19 pg_description
SELECT
  c.oid,
  n.nspname::text AS schema,
  c.relname::text AS name,
  d.description AS comment,
  c.relispartition AS attached,
  c.relpages AS pages,
  c.relkind::text AS kind,
  pg_catalog.pg_get_userbyid(c.relowner)::text AS owner
FROM pg_catalog.pg_description d
JOIN pg_catalog.pg_class c ON c.oid = d.objoid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
  AND d.objsubid = 0
  AND d.description ~ '(^|\n)maintenance: \{'
  AND n.nspname = ANY (%(schemas)s::text[])
