-- read_time_zone: the TimeZone that a new session of this role has, one row
-- since: 15
-- params:
-- columns: zone text
-- locks: none
-- source: PostgreSQL manual, 53.24 pg_settings
SELECT s.reset_val AS zone
FROM pg_catalog.pg_settings s
WHERE s.name = 'TimeZone'
