-- list_slots: the replication slots that keep WAL or hold back VACUUM, with how much
-- since: 15
-- params:
-- columns: name text, kind text, database text, is_active bool, retained_bytes int8, left_bytes int8, age int8
-- locks: none
-- source: PostgreSQL manual, 54.20 pg_replication_slots, 20.6.1 max_slot_wal_keep_size
-- `left_bytes` is what may be written before the slot loses WAL that its consumer needs; null if it
-- keeps WAL without limit. `age` counts the transactions since the oldest one whose rows it keeps. A
-- slot that is lost keeps nothing.
SELECT
  s.slot_name::text AS name,
  s.slot_type AS kind,
  s.database::text AS database,
  s.active AS is_active,
  pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)::int8 AS retained_bytes,
  s.safe_wal_size AS left_bytes,
  greatest(pg_catalog.age(s.xmin), pg_catalog.age(s.catalog_xmin))::int8 AS age
FROM pg_catalog.pg_replication_slots s
WHERE s.wal_status IS DISTINCT FROM 'lost'
  AND (s.restart_lsn IS NOT NULL OR s.xmin IS NOT NULL OR s.catalog_xmin IS NOT NULL)
ORDER BY retained_bytes DESC NULLS LAST, name
