-- list_leaves: one row for each table below a partitioned parent, at any depth, with its counters
-- since: 15
-- params: parent oid
-- columns: oid oid, total int8, rows float4, live int8
-- locks: none
-- source: PostgreSQL manual, 53.22 pg_inherits, 27.2 The Cumulative Statistics System
WITH RECURSIVE below AS (
  SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = %(parent)s::oid
   UNION ALL
  SELECT i.inhrelid FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.inhrelid
)
SELECT
  c.oid,
  pg_catalog.pg_stat_get_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_tuples_updated(c.oid)
    + pg_catalog.pg_stat_get_tuples_deleted(c.oid) AS total,
  c.reltuples AS rows,
  pg_catalog.pg_stat_get_live_tuples(c.oid) AS live
FROM below b
JOIN pg_catalog.pg_class c ON c.oid = b.inhrelid AND c.relkind = 'r'
