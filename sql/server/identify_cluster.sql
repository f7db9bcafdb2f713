-- identify_cluster: the identity that a primary shares only with its replicas, and which it is
-- since: 15
-- params:
-- columns: system_identifier int8, database_oid oid, in_recovery bool
-- locks: none
-- source: PostgreSQL manual, 9.28.11 Control Data Functions, 9.28.4 Recovery Control Functions
SELECT
  s.system_identifier,
  d.oid AS database_oid,
  pg_catalog.pg_is_in_recovery() AS in_recovery
FROM pg_catalog.pg_control_system() s
CROSS JOIN pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database()
