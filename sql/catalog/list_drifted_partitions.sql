-- list_drifted_partitions: partitions whose owner, rights, identity or statistics targets may differ from their parent's
-- since: 15
-- params: parents oid[], most int8
-- columns: parent oid, schema text, name text
-- locks: none
-- source: PostgreSQL manual, 53.11 pg_class
-- A coarse filter: equal access lists in another order pass it and are compared exactly by the
-- caller.
WITH wanted AS MATERIALIZED (
  SELECT a.attrelid, a.attname, a.attstattarget
    FROM pg_catalog.pg_attribute a
   WHERE a.attrelid = ANY (%(parents)s::oid[])
     AND coalesce(a.attstattarget, -1) >= 0 AND a.attnum > 0 AND NOT a.attisdropped
), off_target AS MATERIALIZED (
  SELECT DISTINCT i.inhrelid
    FROM wanted w
    JOIN pg_catalog.pg_inherits i ON i.inhparent = w.attrelid
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.inhrelid AND a.attname = w.attname
   WHERE coalesce(a.attstattarget, -1) <> w.attstattarget
)
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
       OR c.relreplident <> p.relreplident
       OR c.oid IN (SELECT inhrelid FROM off_target))
ORDER BY c.oid DESC
LIMIT %(most)s
