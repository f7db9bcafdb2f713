-- list_outbound_keys: the foreign keys of a detached table and what is below it, with the tables they lock when dropped
-- since: 14
-- params: child oid
-- columns: own_schema text, own_name text, name text, schema text, referenced text
-- locks: none
-- source: PostgreSQL manual, 53.13 pg_constraint
-- Those that belong to another one, of the table above or to each partition of the table that it
-- points to, go with that.
WITH RECURSIVE tree AS (
  SELECT (%(child)s)::oid AS oid
  UNION ALL
  SELECT i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
)
SELECT
  o.nspname::text AS own_schema,
  own.relname::text AS own_name,
  f.conname::text AS name,
  n.nspname::text AS schema,
  c.relname::text AS referenced
FROM tree t
JOIN pg_catalog.pg_constraint f ON f.conrelid = t.oid AND f.contype = 'f' AND f.conparentid = 0
JOIN pg_catalog.pg_class own ON own.oid = t.oid
JOIN pg_catalog.pg_namespace o ON o.oid = own.relnamespace
JOIN pg_catalog.pg_class c ON c.oid = f.confrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY own.oid, f.conname
