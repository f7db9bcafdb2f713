-- list_wraparound: the used transaction and multixact ids of each database, worst first
-- since: 15
-- params:
-- columns: database text, is_ours bool, xid_age int8, multixact_age int8, freeze_max_age int8
-- locks: none
-- source: PostgreSQL manual, 25.1.5 Preventing Transaction ID Wraparound Failures
SELECT
  d.datname::text AS database,
  d.datname = pg_catalog.current_database() AS is_ours,
  pg_catalog.age(d.datfrozenxid)::int8 AS xid_age,
  pg_catalog.mxid_age(d.datminmxid)::int8 AS multixact_age,
  pg_catalog.current_setting('autovacuum_freeze_max_age')::int8 AS freeze_max_age
FROM pg_catalog.pg_database d
ORDER BY greatest(pg_catalog.age(d.datfrozenxid), pg_catalog.mxid_age(d.datminmxid)) DESC,
         d.datname
