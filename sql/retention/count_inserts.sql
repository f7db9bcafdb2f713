-- count_inserts: how many rows each of the given relations has taken since the server counts
-- since: 15
-- params: relations oid[]
-- columns: oid oid, inserted int8
-- locks: none
-- source: PostgreSQL manual, 27.2 The Cumulative Statistics System
SELECT r.oid, pg_catalog.pg_stat_get_tuples_inserted(r.oid) AS inserted
FROM pg_catalog.unnest(%(relations)s::oid[]) AS r (oid)
