-- list_growing_tables: large tables that are not partitioned, into which rows are almost only inserted
-- since: 15
-- params: least_pages int8
-- columns: schema text, name text, pages int8, n_inserted int8, n_changed int8, columns jsonb
-- locks: none
-- source: PostgreSQL manual, 28.2 The Cumulative Statistics System, 53.11 pg_class
-- Pages are those of the table, its TOAST table and its indexes, as estimated by the catalog. Columns
-- are those of a type of time: name, type, never null, default is the current time, leads an index.
-- Tables that are locked in ACCESS EXCLUSIVE mode are left out, because reading a default would wait.
SELECT
  n.nspname::text AS schema,
  c.relname::text AS name,
  size.pages,
  pg_catalog.pg_stat_get_tuples_inserted(c.oid) AS n_inserted,
  pg_catalog.pg_stat_get_tuples_updated(c.oid) + pg_catalog.pg_stat_get_tuples_deleted(c.oid)
    AS n_changed,
  (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(
            a.attname, pg_catalog.format_type(a.atttypid, NULL), a.attnotnull,
            coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid)
                     ~* '^\(?(now\(\)|current_timestamp|current_date|clock_timestamp\(\)|statement_timestamp\(\)|transaction_timestamp\(\)|localtimestamp)',
                     false),
            EXISTS (SELECT FROM pg_catalog.pg_index i
                     WHERE i.indrelid = c.oid AND i.indisvalid AND i.indkey[0] = a.attnum))
            ORDER BY a.attnum)
     FROM pg_catalog.pg_attribute a
     LEFT JOIN pg_catalog.pg_attrdef d
            ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated = ''
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND a.atttypid IN ('timestamptz'::pg_catalog.regtype, 'timestamp'::pg_catalog.regtype,
                         'date'::pg_catalog.regtype)) AS columns
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
  SELECT c.relpages::int8 + coalesce(t.relpages, 0)
         + coalesce((SELECT pg_catalog.sum(x.relpages) FROM pg_catalog.pg_index i
                       JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
                      WHERE i.indrelid = c.oid), 0)::int8 AS pages
    FROM (SELECT) one LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
) size
WHERE c.relkind = 'r'
  AND NOT c.relispartition
  AND c.relpersistence = 'p'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'maintenance')
  AND size.pages >= %(least_pages)s
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE c.oid IN (h.inhrelid, h.inhparent))
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
     WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
       AND d.deptype = 'e')
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_locks l
     WHERE l.locktype = 'relation' AND l.relation = c.oid AND l.mode = 'AccessExclusiveLock')
ORDER BY size.pages DESC, 1, 2
