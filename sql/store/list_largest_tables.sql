-- list_largest_tables: the largest tables at the newest look
-- since: 15
-- params: database text, most int8
-- columns: object text, n_partitions int4, size_bytes int8, grown_in_a_week int8
-- locks: ACCESS SHARE on maintenance.table_size
-- source: sql/store/0005_bloat_and_workload.sql
SELECT t.object, t.n_partitions, t.size_bytes, t.grown_in_a_week
FROM maintenance.table_size_monitor AS t
WHERE t.database = %(database)s::text
ORDER BY t.size_bytes DESC, t.object
LIMIT %(most)s::int8
