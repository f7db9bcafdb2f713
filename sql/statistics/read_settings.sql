-- read_settings: the settings for counting changes and for freezing, one row
-- since: 15
-- params:
-- columns: counts bool, freeze_max_age int4, multixact_freeze_max_age int4
-- locks: none
-- source: PostgreSQL manual, 19.9 Run-time Statistics, 19.10 Automatic Vacuuming
SELECT
  pg_catalog.current_setting('track_counts')::bool AS counts,
  pg_catalog.current_setting('autovacuum_freeze_max_age')::int4 AS freeze_max_age,
  pg_catalog.current_setting('autovacuum_multixact_freeze_max_age')::int4 AS multixact_freeze_max_age
