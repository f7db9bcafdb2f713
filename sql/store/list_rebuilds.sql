-- list_rebuilds: the rebuilds of indexes since a length of time, and those that never ended, oldest first
-- since: 15
-- params: database text, lookback interval
-- columns: id int8, name text, old_oid oid, new_oid oid, started_at timestamptz, ended_at timestamptz, size_before int8, size_after int8, table_oid oid, indexes_before oid[], error text
-- locks: ACCESS SHARE on maintenance.rebuild
-- source: sql/store/0005_bloat_and_workload.sql, sql/store/0015_rebuild_failures.sql
SELECT r.id, r.index_name AS name, r.old_oid, r.new_oid, r.started_at, r.ended_at, r.size_before,
  r.size_after, r.table_oid, r.indexes_before, r.error
FROM maintenance.rebuild AS r
WHERE r.database = %(database)s::text
  AND (r.started_at >= pg_catalog.now() - %(lookback)s::interval OR r.ended_at IS NULL)
ORDER BY r.id
