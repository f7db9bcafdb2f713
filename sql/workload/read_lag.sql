-- read_lag: the lag of a replica behind a WAL position of the primary, one row
-- since: 15
-- params: position pg_lsn
-- columns: lag_bytes int8, lag_s float8
-- locks: none
-- source: PostgreSQL manual, 9.28.4 Recovery Control Functions
-- The time counts from the last replayed transaction, and only if the replica is behind: an idle
-- primary sends none. A server that is not a standby has no replay position.
SELECT
  greatest(b.lag_bytes, 0) AS lag_bytes,
  CASE WHEN b.lag_bytes <= 0 THEN 0
       ELSE EXTRACT(epoch FROM pg_catalog.clock_timestamp()
                                - pg_catalog.pg_last_xact_replay_timestamp()) END::float8 AS lag_s
FROM (SELECT CASE WHEN pg_catalog.pg_is_in_recovery()
                  THEN pg_catalog.pg_wal_lsn_diff(%(position)s::pg_lsn,
                                                  pg_catalog.pg_last_wal_replay_lsn())::int8
             END AS lag_bytes) b
