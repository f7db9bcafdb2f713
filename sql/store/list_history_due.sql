-- list_history_due: the history tables of the store, which are partitioned by month, that need a partition or lose one
-- since: 15
-- params: wanted timestamptz[] (moments that need a partition), before timestamptz
-- columns: name text
-- locks: ACCESS SHARE on the partitions of the history tables
-- source: docs/decisions/0016-history-and-statistics.md; PostgreSQL manual, 9.27 pg_get_expr
-- A default partition, or a detach that was interrupted, is due too: both are findings or are finished. Both
-- queries are materialized, so that no bound of another table is read as a time.
WITH history AS MATERIALIZED (
  SELECT c.oid, c.relname
    FROM pg_catalog.pg_partitioned_table p
    JOIN pg_catalog.pg_class c ON c.oid = p.partrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
   WHERE n.nspname = 'maintenance'
     AND p.partstrat = 'r'
     AND p.partnatts = 1
     AND a.attname = 'taken_at'
     AND a.atttypid = 'pg_catalog.timestamptz'::pg_catalog.regtype
), bounds AS MATERIALIZED (
  SELECT i.inhparent, i.inhdetachpending, pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound
    FROM history h
    JOIN pg_catalog.pg_inherits i ON i.inhparent = h.oid
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
), months AS MATERIALIZED (
  SELECT inhparent, inhdetachpending, bound LIKE 'FOR VALUES FROM %%' AS is_range,
         coalesce(pg_catalog.substring(bound, 'FROM \(''([^'']+)''\)')::timestamptz, '-infinity') AS lower,
         coalesce(pg_catalog.substring(bound, 'TO \(''([^'']+)''\)')::timestamptz, 'infinity') AS upper
    FROM bounds
)
SELECT h.relname::text AS name
FROM history h
WHERE EXISTS (SELECT FROM months m
               WHERE m.inhparent = h.oid
                 AND (m.inhdetachpending OR NOT m.is_range OR m.upper <= %(before)s))
   OR EXISTS (SELECT FROM pg_catalog.unnest(%(wanted)s::timestamptz[]) AS moment
               WHERE NOT EXISTS (SELECT FROM months m
                                  WHERE m.inhparent = h.oid
                                    AND m.lower <= moment AND moment < m.upper))
ORDER BY 1
