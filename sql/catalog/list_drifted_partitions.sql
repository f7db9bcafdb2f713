-- list_drifted_partitions: partitions whose owner, rights or identity may differ from their parent's
-- since: 14
-- params: parents oid[], most int8
-- columns: parent oid, schema text, name text
-- locks: none
-- source: PostgreSQL manual, 53.11 pg_class
-- A coarse filter: access lists that say the same in another order pass it, and are compared
-- exactly by whoever asks.
SELECT i.inhparent AS parent, n.nspname::text AS schema, c.relname::text AS name
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = ANY (%(parents)s::oid[])
  AND NOT i.inhdetachpending
  AND c.relkind IN ('r', 'p')
  AND (c.relowner <> p.relowner
       OR c.relacl IS DISTINCT FROM p.relacl
       OR c.relrowsecurity <> p.relrowsecurity
       OR c.relforcerowsecurity <> p.relforcerowsecurity
       OR c.relreplident <> p.relreplident)
ORDER BY c.oid DESC
LIMIT %(most)s
