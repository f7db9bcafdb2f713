-- list_lock_holders: sessions with one of the given lock modes on one of the given relations, oldest transaction first
-- since: 15
-- params: relations text[], modes text[] (pairs: quoted, qualified name and mode as pg_locks has it)
-- columns: pid int4, gid text, transaction text, role text, application text, state text, age_s float8, relation text, mode text, query_start timestamptz
-- locks: none
-- source: PostgreSQL manual, 54.12 pg_locks (a prepared transaction has no pid there, and a lock on its own id)
SELECT
  l.pid,
  p.gid,
  l.virtualtransaction AS transaction,
  coalesce(a.usename, p.owner)::text AS role,
  a.application_name AS application,
  CASE WHEN p.gid IS NOT NULL THEN 'prepared' ELSE a.state END AS state,
  EXTRACT(epoch FROM pg_catalog.clock_timestamp() - coalesce(a.xact_start, p.prepared))::float8 AS age_s,
  l.relation::pg_catalog.regclass::text AS relation,
  l.mode,
  a.query_start
FROM ROWS FROM (pg_catalog.unnest(%(relations)s::text[]), pg_catalog.unnest(%(modes)s::text[])) AS w (relation, mode)
JOIN pg_catalog.pg_locks l ON l.relation = pg_catalog.to_regclass(w.relation) AND l.mode = w.mode
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
LEFT JOIN pg_catalog.pg_locks x
       ON x.virtualtransaction = l.virtualtransaction AND x.locktype = 'transactionid'
      AND x.granted AND x.pid IS NULL AND l.pid IS NULL
LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = x.transactionid
WHERE l.granted
  AND l.locktype = 'relation'
  AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                     WHERE d.datname = pg_catalog.current_database())
ORDER BY age_s DESC NULLS LAST
LIMIT 5
