-- list_own_properties: what hangs on a default partition itself, and a new one in its place would lack
-- since: 14
-- params: relation oid
-- columns: kind text, name text
-- locks: none
-- source: PostgreSQL manual, 53.58 pg_trigger, 53.46 pg_rewrite, 53.13 pg_constraint, 53.42 pg_publication_rel
SELECT 'trigger' AS kind, t.tgname::text AS name
FROM pg_catalog.pg_trigger t
WHERE t.tgrelid = %(relation)s AND NOT t.tgisinternal AND t.tgparentid = 0
UNION ALL
SELECT 'rule', r.rulename::text
FROM pg_catalog.pg_rewrite r
WHERE r.ev_class = %(relation)s
UNION ALL
SELECT 'foreign key', k.conname::text
FROM pg_catalog.pg_constraint k
WHERE k.conrelid = %(relation)s AND k.contype = 'f' AND k.conparentid = 0
UNION ALL
SELECT 'publication', p.pubname::text
FROM pg_catalog.pg_publication_rel r
JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
WHERE r.prrelid = %(relation)s
ORDER BY 1, 2
