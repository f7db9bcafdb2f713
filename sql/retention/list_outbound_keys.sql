-- list_outbound_keys: the foreign keys of detached tables, with the tables that are locked to drop them
-- since: 15
-- params: tables oid[]
-- columns: own text, name text, referenced text
-- locks: none
-- source: PostgreSQL manual, 53.13 pg_constraint
-- Keys that belong to another one, of the parent or for each partition of the referenced table, are
-- dropped with it. Most calls return no row, so the query has to be cheap: names come from regclass,
-- qualified under the empty search_path, and not from joins.
SELECT
  f.conrelid::pg_catalog.regclass::text AS own,
  f.conname::text AS name,
  f.confrelid::pg_catalog.regclass::text AS referenced
FROM pg_catalog.pg_constraint f
WHERE f.conrelid = ANY (%(tables)s::oid[]) AND f.contype = 'f' AND f.conparentid = 0
ORDER BY f.conrelid, f.conname
