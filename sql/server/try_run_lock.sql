-- try_run_lock: take the session lock that keeps two runs on one database apart, if it is free
-- since: 15
-- params: key int8
-- columns: taken bool
-- locks: advisory, session level
-- source: PostgreSQL manual, 9.27.10 Advisory Lock Functions
SELECT pg_catalog.pg_try_advisory_lock(%(key)s) AS taken
