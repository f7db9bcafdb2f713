-- list_sessions: every other session of the database that may have uncounted writes
-- since: 15
-- params: ours int4[]
-- columns: read_at timestamptz, pid int4, state text, is_visible bool, open_since timestamptz, changed_at timestamptz, is_streaming bool, username text, application text, xact_start timestamptz
-- locks: none
-- source: PostgreSQL manual, 27.2.3 pg_stat_activity, 27.2.4 pg_stat_replication; one row without
-- pid where there is none. Physical walsenders are in no database. Logical ones run plain SQL, and
-- write nothing while they stream.
SELECT
  pg_catalog.statement_timestamp() AS read_at,
  a.pid,
  a.state,
  a.backend_type IS NOT NULL AS is_visible,
  CASE WHEN a.state IS DISTINCT FROM 'idle'
    THEN COALESCE(LEAST(a.xact_start, a.query_start), a.backend_start) END AS open_since,
  a.state_change AS changed_at,
  COALESCE(s.state IN ('catchup', 'streaming'), false) AS is_streaming,
  a.usename::text AS username,
  a.application_name AS application,
  a.xact_start
FROM (SELECT) AS one
LEFT JOIN pg_catalog.pg_stat_activity AS a
  ON a.datname = pg_catalog.current_database()
  AND a.pid <> pg_catalog.pg_backend_pid()
  AND a.pid <> ALL (%(ours)s)
  AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
LEFT JOIN pg_catalog.pg_stat_get_wal_senders() AS s
  ON s.pid = a.pid AND a.backend_type = 'walsender'
