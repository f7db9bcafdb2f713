-- list_connections: the connections of clients, counted by what they have in common
-- since: 15
-- params:
-- columns: database text, role text, application text, client text, state text, is_encrypted bool, n int8, longest_s float8, n_groups int8
-- locks: none
-- source: PostgreSQL manual, 28.2.3 pg_stat_activity, 28.2.7 pg_stat_ssl
-- Those over the network without TLS come first. Of the sessions of other roles, address, state and
-- TLS are visible to members of pg_read_all_stats only. Texts of queries are not read, because they
-- may contain secrets.
SELECT
  a.datname::text AS database,
  a.usename::text AS role,
  a.application_name AS application,
  CASE WHEN a.backend_type IS NOT NULL THEN coalesce(pg_catalog.host(a.client_addr), 'local') END
    AS client,
  a.state,
  CASE WHEN a.client_addr IS NOT NULL THEN s.ssl END AS is_encrypted,
  pg_catalog.count(*) AS n,
  pg_catalog.max(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.state_change))::float8
    AS longest_s,
  pg_catalog.count(*) OVER () AS n_groups
FROM pg_catalog.pg_stat_activity a
LEFT JOIN pg_catalog.pg_stat_ssl s ON s.pid = a.pid
WHERE a.datid IS NOT NULL AND coalesce(a.backend_type, 'client backend') = 'client backend'
  AND a.pid <> pg_catalog.pg_backend_pid()
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY is_encrypted NULLS LAST, n DESC, longest_s DESC NULLS LAST, 1, 2, 3, 4, 5
LIMIT 100
