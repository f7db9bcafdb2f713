-- find_migrations: whether any migration was applied
-- since: 15
-- params:
-- columns: is_there bool
-- locks: none
-- source: PostgreSQL manual, 9.27 System Information Functions
SELECT pg_catalog.to_regclass('maintenance.migration') IS NOT NULL AS is_there
