-- list_sessions: sessions with a transaction open for longer than a given time, oldest first
-- since: 15
-- params: least_s float8
-- columns: pid int4, what text, role text, database text, application text, client text, state text, transaction_s float8, idle_s float8, holds_snapshot bool
-- locks: none
-- source: PostgreSQL manual, 28.2.3 pg_stat_activity, 54.15 pg_prepared_xacts, 54.20 pg_replication_slots
-- Query texts are not read, because they may contain secrets. Prepared transactions and slots have
-- no session, but hold back VACUUM too.
SELECT
  a.pid,
  'session' AS what,
  a.usename::text AS role,
  a.datname::text AS database,
  a.application_name AS application,
  coalesce(a.client_addr::text, 'local') AS client,
  a.state,
  EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8 AS transaction_s,
  CASE WHEN pg_catalog.starts_with(a.state, 'idle in transaction')
       THEN EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.state_change)::float8 END AS idle_s,
  a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL AS holds_snapshot
FROM pg_catalog.pg_stat_activity a
WHERE a.pid <> pg_catalog.pg_backend_pid()
  AND a.backend_type IN ('client backend', 'background worker', 'parallel worker')
  AND a.xact_start <= pg_catalog.clock_timestamp()
                      - pg_catalog.make_interval(secs => %(least_s)s::float8)
UNION ALL
SELECT NULL, 'prepared transaction ' || x.gid, x.owner::text, x.database::text, NULL, NULL,
       'prepared', EXTRACT(epoch FROM pg_catalog.clock_timestamp() - x.prepared)::float8, NULL, true
FROM pg_catalog.pg_prepared_xacts x
WHERE x.prepared <= pg_catalog.clock_timestamp()
                    - pg_catalog.make_interval(secs => %(least_s)s::float8)
ORDER BY transaction_s DESC NULLS LAST
LIMIT 50
