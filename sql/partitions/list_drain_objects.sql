-- list_drain_objects: objects with the names of a drain, and the drained table if it has one
-- since: 15
-- params: schema text, prefix text, drained oid
-- columns: kind text, schema text, name text, part text, referenced_schema text, referenced text, owner text, oid oid, comment text, is_drained bool
-- locks: none
-- source: PostgreSQL manual, 53 System Catalogs
WITH RECURSIVE drained AS (
  SELECT %(drained)s::pg_catalog.oid AS oid
  UNION ALL
  SELECT i.inhrelid FROM drained d JOIN pg_catalog.pg_inherits i ON i.inhparent = d.oid
), made AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relkind, pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
         EXISTS (SELECT FROM drained d WHERE d.oid = c.oid) AS is_drained
    FROM pg_catalog.pg_class c
   WHERE c.relnamespace = (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = %(schema)s)
     AND pg_catalog.starts_with(c.relname::text, %(prefix)s)
     AND c.relkind IN ('r', 'p')
)
SELECT 'trigger' AS kind, n.nspname::text AS schema, c.relname::text AS name, t.tgname::text AS part,
       NULL::text AS referenced_schema, NULL::text AS referenced,
       pg_catalog.pg_get_userbyid(p.proowner)::text AS owner, p.oid AS oid, NULL::text AS comment,
       false AS is_drained
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE pn.nspname = %(schema)s
  AND p.proname = (%(prefix)s || 'capture')::pg_catalog.name
  AND NOT pg_catalog.starts_with(c.relname::text, %(prefix)s)
UNION ALL
SELECT 'foreign key', %(schema)s, m.relname::text, k.conname::text, n.nspname::text, r.relname::text,
       m.owner, m.oid, NULL, m.is_drained
FROM made m
JOIN pg_catalog.pg_constraint k ON k.conrelid = m.oid AND k.contype = 'f' AND k.conparentid = 0
JOIN pg_catalog.pg_class r ON r.oid = k.confrelid
JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
UNION ALL
SELECT CASE m.relkind WHEN 'p' THEN 'tree' ELSE 'table' END, %(schema)s, m.relname::text,
       NULL, NULL, NULL, m.owner, m.oid,
       pg_catalog.obj_description(m.oid, 'pg_class'), m.is_drained
FROM made m
