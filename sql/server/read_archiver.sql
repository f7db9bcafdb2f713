-- read_archiver: whether the server archives its WAL, and since when, one row
-- since: 15
-- params:
-- columns: is_on bool, archived_s float8, is_failing bool
-- locks: none
-- source: PostgreSQL manual, 28.2.12 pg_stat_archiver, 20.5.3 Archiving
SELECT
  pg_catalog.current_setting('archive_mode') <> 'off' AS is_on,
  EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.last_archived_time)::float8 AS archived_s,
  coalesce(a.last_failed_time > a.last_archived_time, a.last_failed_time IS NOT NULL) AS is_failing
FROM pg_catalog.pg_stat_archiver a
