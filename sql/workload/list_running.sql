-- list_running: the statements of applications at work for longer than a given time, longest first
-- since: 15
-- params: least_s float8
-- columns: pid int4, role text, database text, application text, client text, command text, wait text, statement_s float8
-- locks: none
-- source: PostgreSQL manual, 28.2.3 pg_stat_activity
-- Of the text only the first word leaves the server, behind comments, because the rest may contain
-- secrets; an index build has two or three words.
SELECT
  s.pid,
  s.role,
  s.database,
  s.application,
  s.client,
  pg_catalog.substring(pg_catalog.upper(pg_catalog."left"(pg_catalog.regexp_replace(s.query,
    '^(\s|\(|--[^\n]*(\n|$)|/\*([^*]|\*+[^*/])*\*+/)+', ''), 60)),
    '^[A-Z]+(?:\s+(?:UNIQUE\s+)?INDEX\M)?') AS command,
  s.wait,
  s.statement_s
FROM (
  SELECT
    a.pid,
    a.usename::text AS role,
    a.datname::text AS database,
    a.application_name AS application,
    coalesce(a.client_addr::text, 'local') AS client,
    a.wait_event_type AS wait,
    a.query,
    EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.query_start)::float8 AS statement_s
  FROM pg_catalog.pg_stat_activity a
  WHERE a.state = 'active'
    AND a.backend_type = 'client backend'
    AND a.pid <> pg_catalog.pg_backend_pid()
    AND a.query_start <= pg_catalog.clock_timestamp()
                         - pg_catalog.make_interval(secs => %(least_s)s::float8)
  ORDER BY a.query_start
  LIMIT 200
) s
ORDER BY s.statement_s DESC, s.pid
