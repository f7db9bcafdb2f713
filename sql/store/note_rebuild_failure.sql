-- note_rebuild_failure: note why the rebuild of an index failed
-- since: 15
-- params: id int8, error text
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.rebuild
-- source: sql/store/0015_rebuild_failures.sql
UPDATE maintenance.rebuild SET error = %(error)s::text WHERE id = %(id)s::int8
