-- check_rebuild: obstacles to a concurrent rebuild of an index, one row
-- since: 15
-- params: index_oid oid
-- columns: name text, is_valid bool, size_bytes int8, oldest_s float8, oldest_pid int4, oldest text, oldest_facts jsonb, n_prepared int8, other_build_pid int4, tablespace text, table_oid oid, indexes oid[], backup_pid int4
-- locks: ACCESS SHARE on the index, for its size
-- source: PostgreSQL manual, REINDEX, 28.2.3 pg_stat_activity, 54.15 pg_prepared_xacts
-- The oldest transaction is the oldest of other client sessions of this database.
SELECT
  pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name,
  i.indisvalid AS is_valid,
  pg_catalog.pg_relation_size(c.oid) AS size_bytes,
  o.age_s AS oldest_s,
  o.pid AS oldest_pid,
  o.who AS oldest,
  o.facts AS oldest_facts,
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts x
   WHERE x.database = pg_catalog.current_database()) AS n_prepared,
  (SELECT p.pid FROM pg_catalog.pg_stat_progress_create_index p
   WHERE p.relid = i.indrelid AND p.pid <> pg_catalog.pg_backend_pid() LIMIT 1) AS other_build_pid,
  nullif(pg_catalog.pg_tablespace_location(c.reltablespace), '') AS tablespace,
  i.indrelid AS table_oid,
  ARRAY(SELECT o.indexrelid FROM pg_catalog.pg_index o WHERE o.indrelid = i.indrelid ORDER BY 1)
    AS indexes,
  (SELECT b.pid FROM pg_catalog.pg_stat_progress_basebackup b LIMIT 1) AS backup_pid
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
LEFT JOIN LATERAL (
  SELECT a.pid,
         EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8 AS age_s,
         a.usename || ', ' || coalesce(nullif(a.application_name, ''), a.state, '') AS who,
         -- without its query, which may have data
         pg_catalog.jsonb_build_object('pid', a.pid, 'role', a.usename,
           'application', nullif(a.application_name, ''), 'state', a.state,
           'query_start', a.query_start) AS facts
  FROM pg_catalog.pg_stat_activity a
  WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
    AND a.xact_start IS NOT NULL AND a.backend_type = 'client backend'
  ORDER BY a.xact_start LIMIT 1) o ON true
WHERE c.oid = %(index_oid)s::oid
