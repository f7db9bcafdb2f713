-- list_outbound_keys: the foreign keys that due tables have once they are detached
-- since: 15
-- params: tables oid[] (attached or not; with the partitions of their own)
-- columns: oid oid, own text, name text, referenced text
-- locks: none
-- source: PostgreSQL manual, 53.13 pg_constraint
-- A key that belongs to one of the parent is on its own after the detach. One that belongs to a key
-- of these tables is dropped with it: of their partitions, or for each partition of the referenced
-- table. Names come from regclass, qualified under the empty search_path.
SELECT
  f.conrelid AS oid,
  f.conrelid::pg_catalog.regclass::text AS own,
  f.conname::text AS name,
  f.confrelid::pg_catalog.regclass::text AS referenced
FROM pg_catalog.pg_constraint f
LEFT JOIN pg_catalog.pg_constraint p ON p.oid = f.conparentid
WHERE f.conrelid = ANY (%(tables)s::oid[]) AND f.contype = 'f'
  AND (p.oid IS NULL OR p.conrelid <> ALL (%(tables)s::oid[]))
ORDER BY f.conrelid, f.conname
