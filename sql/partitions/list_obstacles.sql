-- list_obstacles: objects that prevent replacing a default partition with copies
-- since: 15
-- params: parent oid, relations oid[]
-- columns: kind text, name text
-- locks: none
-- source: PostgreSQL manual, 53.18 pg_depend, 53.40 pg_publication
SELECT 'view' AS kind, v.oid::pg_catalog.regclass::text AS name
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
JOIN pg_catalog.pg_class v ON v.oid = r.ev_class
WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
  AND d.refobjid = ANY (%(relations)s::oid[])
  AND r.ev_class <> d.refobjid
UNION
SELECT 'foreign_key', k.conname::text
FROM pg_catalog.pg_constraint k
WHERE k.confrelid = ANY (%(relations)s::oid[]) AND k.contype = 'f'
UNION
-- a writer's change would have to be mirrored before the constraint is checked
SELECT 'deferrable_constraint', k.conname::text
FROM pg_catalog.pg_constraint k
WHERE k.conrelid = %(parent)s AND k.contype IN ('p', 'u', 'x') AND k.condeferrable
UNION
SELECT 'publication', p.pubname::text
FROM pg_catalog.pg_publication p
WHERE p.puballtables
   OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace n
               WHERE n.pnpubid = p.oid
                 AND n.pnnspid IN (SELECT c.relnamespace FROM pg_catalog.pg_class c
                                    WHERE c.oid = ANY (%(relations)s::oid[])))
ORDER BY 1, 2
