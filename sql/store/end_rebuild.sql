-- end_rebuild: note that the rebuild of an index is over and has left nothing behind
-- since: 15
-- params: id int8, size_bytes int8 (NULL where it has not succeeded)
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.rebuild
-- source: sql/store/0005_bloat_and_workload.sql
UPDATE maintenance.rebuild
SET ended_at = pg_catalog.clock_timestamp(), size_after = %(size_bytes)s::int8
WHERE id = %(id)s::int8
