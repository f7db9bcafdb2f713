-- list_migrations: the migrations that were applied
-- since: 15
-- params:
-- columns: name text
-- locks: ACCESS SHARE on maintenance.migration
-- source: maintenance/store/migrations.py
SELECT m.name FROM maintenance.migration AS m
