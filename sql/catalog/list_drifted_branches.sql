-- list_drifted_branches: tables below a partition whose owner, rights, identity or statistics targets may differ from the parent's
-- since: 15
-- params: tops oid[], branches oid[] (pairs), most int8
-- columns: parent oid, schema text, name text
-- locks: none
-- source: PostgreSQL manual, 53.11 pg_class
-- As list_drifted_partitions, with the table at the top as the parent.
SELECT p.oid AS parent, n.nspname::text AS schema, c.relname::text AS name
FROM ROWS FROM (pg_catalog.unnest(%(tops)s::oid[]), pg_catalog.unnest(%(branches)s::oid[])) AS w (top, branch)
JOIN pg_catalog.pg_class p ON p.oid = w.top
JOIN pg_catalog.pg_class c ON c.oid = w.branch
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
  AND (c.relowner <> p.relowner
       OR c.relacl IS DISTINCT FROM p.relacl
       OR c.relrowsecurity <> p.relrowsecurity
       OR c.relforcerowsecurity <> p.relforcerowsecurity
       OR c.relreplident <> p.relreplident
       OR EXISTS (SELECT FROM pg_catalog.pg_attribute a
                    LEFT JOIN pg_catalog.pg_attribute o
                           ON o.attrelid = c.oid AND o.attname = a.attname AND NOT o.attisdropped
                   WHERE a.attrelid = p.oid AND a.attnum > 0 AND NOT a.attisdropped
                     AND coalesce(a.attstattarget, -1) >= 0
                     AND o.attstattarget IS DISTINCT FROM a.attstattarget))
ORDER BY c.oid DESC
LIMIT %(most)s
