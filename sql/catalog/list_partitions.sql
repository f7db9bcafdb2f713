-- list_partitions: one row for each child of the given partitioned parents
-- since: 14
-- params: parents oid[]
-- columns: parent oid, oid oid, schema text, name text, kind text, detach_pending bool, pages int4, rows float4, bound text
-- locks: none
-- source: PostgreSQL manual, 53.22 pg_inherits, 9.26 System Information Functions
-- A bound holds no column, so pg_get_expr may be given no table: given one it would open it,
-- which waits behind an ACCESS EXCLUSIVE lock and takes four times as long in a new session.
-- A child under such a lock may be on its way out: it comes with a null bound, to be looked at
-- again. An attached child always has one.
WITH locked AS MATERIALIZED (
  SELECT l.relation
    FROM pg_catalog.pg_locks l
   WHERE l.locktype = 'relation'
     AND l.mode = 'AccessExclusiveLock'
     AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                        WHERE d.datname = pg_catalog.current_database())
)
SELECT
  i.inhparent AS parent,
  c.oid,
  n.nspname::text AS schema,
  c.relname::text AS name,
  c.relkind::text AS kind,
  i.inhdetachpending AS detach_pending,
  c.relpages AS pages,
  c.reltuples AS rows,
  CASE WHEN c.oid NOT IN (SELECT relation FROM locked)
       THEN pg_catalog.pg_get_expr(c.relpartbound, 0) END AS bound
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = ANY (%(parents)s::oid[])
