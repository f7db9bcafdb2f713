-- begin_rebuild: note that the rebuild of an index begins
-- since: 15
-- params: database text, run_id uuid, name text, oid oid, size_bytes int8, table_oid oid, indexes oid[] (of the table)
-- columns: id int8
-- locks: ROW EXCLUSIVE on maintenance.rebuild
-- source: sql/store/0005_bloat_and_workload.sql, sql/store/0015_rebuild_failures.sql
INSERT INTO maintenance.rebuild
  (database, run_id, index_name, old_oid, size_before, table_oid, indexes_before)
VALUES (%(database)s::text, %(run_id)s::uuid, %(name)s::text, %(oid)s::oid, %(size_bytes)s::int8,
  %(table_oid)s::oid, %(indexes)s::oid[])
RETURNING id
