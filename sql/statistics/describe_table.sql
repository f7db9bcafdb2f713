-- describe_table: one table's counters and whether autovacuum is working on it; no row if it does not exist
-- since: 15
-- params: relation oid
-- columns: schema text, name text, pages int4, rows float4, changed int8, live int8, dead int8, frozen_age int4, analyzed_at timestamptz, vacuumed_at timestamptz, counts bool, autovacuum_pid int4
-- locks: none
-- source: PostgreSQL manual, 27.2 The Cumulative Statistics System, 54.12 pg_locks
-- Run twice per table, so it calls the function behind pg_stat_activity: it is planned in half the time.
SELECT
  n.nspname::text AS schema,
  c.relname::text AS name,
  c.relpages AS pages,
  c.reltuples AS rows,
  pg_catalog.pg_stat_get_mod_since_analyze(c.oid) AS changed,
  pg_catalog.pg_stat_get_live_tuples(c.oid) AS live,
  pg_catalog.pg_stat_get_dead_tuples(c.oid) AS dead,
  CASE WHEN c.relkind <> 'p' THEN pg_catalog.age(c.relfrozenxid) END AS frozen_age,
  pg_catalog.pg_stat_get_last_analyze_time(c.oid) AS analyzed_at,
  pg_catalog.pg_stat_get_last_vacuum_time(c.oid) AS vacuumed_at,
  pg_catalog.current_setting('track_counts')::bool AS counts,
  (SELECT pg_catalog.min(l.pid)
     FROM pg_catalog.pg_locks l
     JOIN pg_catalog.pg_stat_get_activity(NULL) a ON a.pid = l.pid
    WHERE l.locktype = 'relation' AND l.relation = c.oid AND l.granted
      AND l.mode = 'ShareUpdateExclusiveLock' AND a.usesysid IS NULL
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                         WHERE d.datname = pg_catalog.current_database())) AS autovacuum_pid
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = %(relation)s::oid
