-- read_limits: the server's limits, and how much of them is in use, one row
-- since: 15
-- params:
-- columns: max_connections int4, n_reserved int4, n_connections int8, n_promised int8, max_prepared int4, locks_each int4, next_xid int8, next_multixact int8, oldest_multixact_age int8, may_list_files bool, autovacuum bool, freeze_max_age int8
-- locks: none
-- source: PostgreSQL manual, 20.3 Connection Settings, 20.12 Lock Management, 9.27.7 Control Data Functions
-- Promised connections are the sum of the CONNECTION LIMITs of roles that may log in, or of all
-- databases if that is more.
SELECT
  pg_catalog.current_setting('max_connections')::int4 AS max_connections,
  pg_catalog.current_setting('superuser_reserved_connections')::int4
    + coalesce(pg_catalog.current_setting('reserved_connections', true)::int4, 0) AS n_reserved,
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a
   WHERE a.datid IS NOT NULL AND coalesce(a.backend_type, 'client backend') = 'client backend')
    AS n_connections,
  greatest(
    (SELECT coalesce(pg_catalog.sum(r.rolconnlimit), 0)::int8 FROM pg_catalog.pg_roles r
     WHERE r.rolcanlogin AND NOT r.rolsuper AND r.rolconnlimit > 0),
    (SELECT coalesce(pg_catalog.sum(d.datconnlimit), 0)::int8 FROM pg_catalog.pg_database d
     WHERE d.datallowconn AND d.datconnlimit > 0)) AS n_promised,
  pg_catalog.current_setting('max_prepared_transactions')::int4 AS max_prepared,
  pg_catalog.current_setting('max_locks_per_transaction')::int4 AS locks_each,
  pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::int8 AS next_xid,
  (SELECT p.next_multixact_id::text::int8 FROM pg_catalog.pg_control_checkpoint() p) AS next_multixact,
  (SELECT pg_catalog.max(pg_catalog.mxid_age(d.datminmxid))::int8 FROM pg_catalog.pg_database d)
    AS oldest_multixact_age,
  pg_catalog.has_function_privilege('pg_catalog.pg_ls_dir(text)', 'EXECUTE') AS may_list_files,
  pg_catalog.current_setting('autovacuum')::bool AS autovacuum,
  pg_catalog.current_setting('autovacuum_freeze_max_age')::int8 AS freeze_max_age
