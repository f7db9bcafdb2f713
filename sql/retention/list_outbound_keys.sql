-- list_outbound_keys: the foreign keys of detached tables, with the tables they lock when dropped
-- since: 15
-- params: tables oid[]
-- columns: own text, name text, referenced text
-- locks: none
-- source: PostgreSQL manual, 53.13 pg_constraint
-- Those that belong to another one, of the table above or to each partition of the table that it
-- points to, go with that. Usually there are none, so this is asked a thousand times for nothing:
-- names come from regclass, qualified under the empty search_path, and not by joins.
SELECT
  f.conrelid::pg_catalog.regclass::text AS own,
  f.conname::text AS name,
  f.confrelid::pg_catalog.regclass::text AS referenced
FROM pg_catalog.pg_constraint f
WHERE f.conrelid = ANY (%(tables)s::oid[]) AND f.contype = 'f' AND f.conparentid = 0
ORDER BY f.conrelid, f.conname
