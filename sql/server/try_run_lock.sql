-- try_run_lock: take the run lock of a database, a session lock, if it is free
-- since: 15
-- params: key int8
-- columns: taken bool
-- locks: advisory, session level
-- source: PostgreSQL manual, 9.27.10 Advisory Lock Functions
SELECT pg_catalog.pg_try_advisory_lock(%(key)s) AS taken
