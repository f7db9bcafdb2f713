-- note_rebuilt_index: note the index that a rebuild is making
-- since: 15
-- params: id int8, oid oid
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.rebuild
-- source: sql/store/0005_bloat_and_workload.sql
UPDATE maintenance.rebuild SET new_oid = %(oid)s::oid WHERE id = %(id)s::int8
