-- list_named_indexes: unique indexes by name, and the partition indexes below them
-- since: 15
-- params: names text[] (quoted and qualified)
-- columns: named text, oid oid
-- locks: none
-- source: PostgreSQL manual, 53.22 pg_inherits, 53.26 pg_index
WITH RECURSIVE named AS (
  SELECT w.name, i.indexrelid AS oid
  FROM pg_catalog.unnest(%(names)s::text[]) AS w (name)
  JOIN pg_catalog.pg_index i ON i.indexrelid = pg_catalog.to_regclass(w.name)
  WHERE i.indisunique
  UNION ALL
  SELECT n.name, h.inhrelid FROM named n JOIN pg_catalog.pg_inherits h ON h.inhparent = n.oid
)
SELECT n.name AS named, n.oid FROM named n
