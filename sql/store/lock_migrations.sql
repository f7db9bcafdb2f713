-- lock_migrations: keep two sessions from migrating the store at once until the transaction ends
-- since: 15
-- params: lock int8
-- columns: locked bool
-- locks: transaction-level advisory lock
-- source: PostgreSQL manual, 9.28.10 Advisory Lock Functions
SELECT true AS locked FROM pg_catalog.pg_advisory_xact_lock(%(lock)s::int8)
