-- list_slots: replication slots, the WAL that each holds, and how much it may hold
-- since: 15
-- params:
-- columns: name text, is_active bool, state text, held_bytes int8, keep_bytes int8
-- locks: none
-- source: PostgreSQL manual, 54.20 pg_replication_slots, 20.6.1 max_slot_wal_keep_size
-- Without max_slot_wal_keep_size only the disk is a limit.
SELECT
  s.slot_name::text AS name,
  s.active AS is_active,
  s.wal_status AS state,
  pg_catalog.pg_wal_lsn_diff(w.at, s.restart_lsn)::int8 AS held_bytes,
  (SELECT CASE WHEN p.setting::int8 >= 0 THEN p.setting::int8 * 1048576 END
   FROM pg_catalog.pg_settings p WHERE p.name = 'max_slot_wal_keep_size') AS keep_bytes
FROM (SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery()
                  THEN pg_catalog.pg_current_wal_lsn() END AS at) w
CROSS JOIN pg_catalog.pg_replication_slots s
WHERE s.restart_lsn IS NOT NULL AND w.at IS NOT NULL
ORDER BY 1
