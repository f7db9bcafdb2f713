-- find_lock_waiter: the session that has waited longest for a lock, none or one row
-- since: 15
-- params:
-- columns: pid int4, waited_s float8
-- locks: none
-- source: PostgreSQL manual, 54.12 pg_locks
SELECT l.pid, EXTRACT(epoch FROM pg_catalog.clock_timestamp() - l.waitstart)::float8 AS waited_s
FROM pg_catalog.pg_locks l
WHERE NOT l.granted AND l.waitstart IS NOT NULL
  AND (l.database IS NULL OR l.database = 0
       OR l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                         WHERE d.datname = pg_catalog.current_database()))
ORDER BY l.waitstart
LIMIT 1
