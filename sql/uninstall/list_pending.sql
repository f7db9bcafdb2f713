-- list_pending: partitions whose concurrent detach was interrupted
-- since: 15
-- params:
-- columns: oid oid, parent_schema text, parent text, schema text, name text
-- locks: none
-- source: PostgreSQL manual, 53.20 pg_inherits
SELECT c.oid, pn.nspname::text AS parent_schema, p.relname::text AS parent, n.nspname::text AS schema, c.relname::text AS name
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE i.inhdetachpending
ORDER BY 2, 3, 5
