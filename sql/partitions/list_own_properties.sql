-- list_own_properties: objects on a default partition or below it that a replacement would lack
-- since: 15
-- params: relation oid
-- columns: kind text, name text
-- locks: none
-- source: PostgreSQL manual, 53.58 pg_trigger, 53.46 pg_rewrite, 53.13 pg_constraint, 53.42 pg_publication_rel
WITH RECURSIVE tree AS (
  SELECT %(relation)s::oid AS oid
  UNION ALL
  SELECT i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
)
SELECT 'trigger' AS kind, g.tgname::text AS name
FROM tree t
JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid
WHERE NOT g.tgisinternal AND g.tgparentid = 0
UNION ALL
SELECT 'rule', r.rulename::text
FROM tree t
JOIN pg_catalog.pg_rewrite r ON r.ev_class = t.oid
UNION ALL
SELECT 'foreign key', k.conname::text
FROM tree t
JOIN pg_catalog.pg_constraint k ON k.conrelid = t.oid
WHERE k.contype = 'f' AND k.conparentid = 0
UNION ALL
SELECT 'publication', p.pubname::text
FROM tree t
JOIN pg_catalog.pg_publication_rel r ON r.prrelid = t.oid
JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
ORDER BY 1, 2
