-- find_position: the current WAL write position of the primary, one row
-- since: 15
-- params:
-- columns: position pg_lsn
-- locks: none
-- source: PostgreSQL manual, 9.28.3 Backup Control Functions
SELECT pg_catalog.pg_current_wal_lsn() AS position
WHERE NOT pg_catalog.pg_is_in_recovery()
