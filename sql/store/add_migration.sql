-- add_migration: note that a migration was applied
-- since: 15
-- params: name text
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.migration
-- source: maintenance/store/migrations.py
INSERT INTO maintenance.migration (name) VALUES (%(name)s::text)
