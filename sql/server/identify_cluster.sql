-- identify_cluster: the identity that a primary shares only with its replicas
-- since: 15
-- params:
-- columns: system_identifier int8, database_oid oid
-- locks: none
-- source: PostgreSQL manual, 9.28.11 Control Data Functions
SELECT s.system_identifier, d.oid AS database_oid
FROM pg_catalog.pg_control_system() s
CROSS JOIN pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database()
