-- list_filled: those of the given relations that have at least one block on disk
-- since: 15
-- params: relations oid[]
-- columns: oid oid
-- locks: ACCESS SHARE on each; those under ACCESS EXCLUSIVE are left out
-- source: PostgreSQL manual, 9.27.7 Database Object Management Functions
WITH locked AS MATERIALIZED (
  SELECT l.relation
    FROM pg_catalog.pg_locks l
   WHERE l.locktype = 'relation'
     AND l.mode = 'AccessExclusiveLock'
     AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                        WHERE d.datname = pg_catalog.current_database())
)
SELECT w.oid
FROM pg_catalog.unnest(%(relations)s::oid[]) AS w (oid)
WHERE w.oid NOT IN (SELECT relation FROM locked)
  AND pg_catalog.pg_relation_size(w.oid) > 0
