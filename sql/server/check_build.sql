-- check_build: obstacles to a concurrent build of an index on a table, none or one row
-- since: 15
-- params: table_name text (qualified and quoted)
-- columns: table_oid oid, size_bytes int8, tablespace text, oldest_s float8, oldest_pid int4, oldest text, oldest_facts jsonb, n_prepared int8, other_build_pid int4, backup_pid int4
-- locks: ACCESS SHARE on the table, for its size
-- source: PostgreSQL manual, CREATE INDEX, 28.2.3 pg_stat_activity, 28.4.6 pg_stat_progress_basebackup, 54.15 pg_prepared_xacts
-- The oldest transaction is the oldest of other client sessions of this database.
SELECT c.oid AS table_oid,
  pg_catalog.pg_relation_size(c.oid) AS size_bytes,
  nullif(pg_catalog.pg_tablespace_location(c.reltablespace), '') AS tablespace,
  o.age_s AS oldest_s,
  o.pid AS oldest_pid,
  o.who AS oldest,
  o.facts AS oldest_facts,
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts AS x
   WHERE x.database = pg_catalog.current_database()) AS n_prepared,
  (SELECT p.pid FROM pg_catalog.pg_stat_progress_create_index AS p
   WHERE p.relid = c.oid AND p.pid <> pg_catalog.pg_backend_pid() LIMIT 1) AS other_build_pid,
  (SELECT b.pid FROM pg_catalog.pg_stat_progress_basebackup AS b LIMIT 1) AS backup_pid
FROM pg_catalog.pg_class AS c
LEFT JOIN LATERAL (
  SELECT a.pid,
         EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8 AS age_s,
         a.usename || ', ' || coalesce(nullif(a.application_name, ''), a.state, '') AS who,
         -- without its query, which may have data
         pg_catalog.jsonb_build_object('pid', a.pid, 'role', a.usename,
           'application', nullif(a.application_name, ''), 'state', a.state,
           'query_start', a.query_start) AS facts
  FROM pg_catalog.pg_stat_activity AS a
  WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
    AND a.xact_start IS NOT NULL AND a.backend_type = 'client backend'
  ORDER BY a.xact_start LIMIT 1) AS o ON true
WHERE c.oid = pg_catalog.to_regclass(%(table_name)s::pg_catalog.text)
