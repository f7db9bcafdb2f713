-- count_inserts: rows inserted into each of the given relations since the statistics began
-- since: 15
-- params: relations oid[]
-- columns: oid oid, inserted int8
-- locks: none
-- source: PostgreSQL manual, 27.2 The Cumulative Statistics System
SELECT r.oid, pg_catalog.pg_stat_get_tuples_inserted(r.oid) AS inserted
FROM pg_catalog.unnest(%(relations)s::oid[]) AS r (oid)
