-- list_partitions: one row for each child of the given partitioned parents
-- since: 15
-- params: parents oid[]
-- columns: parent oid, oid oid, schema text, name text, kind text, detach_pending bool, pages int4, rows float4, bound text, differs bool
-- locks: none
-- source: PostgreSQL manual, 53.22 pg_inherits, 9.26 System Information Functions
-- A bound has no columns, so pg_get_expr is called without a table: with one it would open the
-- table, which waits behind an ACCESS EXCLUSIVE lock and takes four times as long in a new session.
-- A child with such a lock may be being dropped: its bound is null and it is read again. An attached
-- child always has a bound.
-- `differs` is a coarse filter: a child may differ from its parent, or from the first of its
-- siblings, by the columns of pg_class that are read here anyway.
WITH locked AS MATERIALIZED (
  SELECT l.relation
    FROM pg_catalog.pg_locks l
   WHERE l.locktype = 'relation'
     AND l.mode = 'AccessExclusiveLock'
     AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                        WHERE d.datname = pg_catalog.current_database())
), first AS MATERIALIZED (
  SELECT i.inhparent AS parent, pg_catalog.min(i.inhrelid) AS oid
    FROM pg_catalog.pg_inherits i
   WHERE i.inhparent = ANY (%(parents)s::oid[])
   GROUP BY i.inhparent
), model AS MATERIALIZED (
  SELECT p.oid, p.relowner, p.relacl, p.relrowsecurity, p.relforcerowsecurity, p.relreplident,
         p.reltablespace, s.reloptions, s.relam
    FROM first f
    JOIN pg_catalog.pg_class p ON p.oid = f.parent
    JOIN pg_catalog.pg_class s ON s.oid = f.oid
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
       THEN pg_catalog.pg_get_expr(c.relpartbound, 0) END AS bound,
  c.relowner <> m.relowner
    OR c.relacl IS DISTINCT FROM m.relacl
    OR c.relrowsecurity <> m.relrowsecurity
    OR c.relforcerowsecurity <> m.relforcerowsecurity
    OR c.relreplident <> m.relreplident
    OR c.reloptions IS DISTINCT FROM m.reloptions
    OR c.relam <> m.relam
    OR (m.reltablespace <> 0 AND c.reltablespace <> m.reltablespace) AS differs
FROM pg_catalog.pg_inherits i
JOIN model m ON m.oid = i.inhparent
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = ANY (%(parents)s::oid[])
