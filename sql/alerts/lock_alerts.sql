-- lock_alerts: keep two processes from making alerts of one database until the transaction ends
-- since: 15
-- params: class int4, database text
-- columns: locked bool
-- locks: transaction-level advisory lock
-- source: PostgreSQL manual, 9.28.10 Advisory Lock Functions
SELECT true AS locked
FROM pg_catalog.pg_advisory_xact_lock(%(class)s::int4, pg_catalog.hashtext(%(database)s::text))
