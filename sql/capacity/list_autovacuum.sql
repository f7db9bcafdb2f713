-- list_autovacuum: tables that autovacuum leaves out, and tables too large for its thresholds
-- since: 15
-- params: least_rows float8
-- columns: schema text, name text, root_schema text, root_name text, is_off bool, is_toast bool, n_rows float8, size_bytes int8, threshold float8, scale float8, n_dead int8, n_written int8, vacuumed_at timestamptz, counted_since timestamptz
-- locks: ACCESS SHARE on each and on its TOAST table, for their size
-- source: PostgreSQL manual, 25.1.6 The Autovacuum Daemon, 28.2.19 pg_stat_all_tables
-- A TOAST table has options of its own; it is listed only where the table itself is not left out.
-- Tables of extensions are not listed. The size is that of the files, with the TOAST table: relpages
-- is 0 until the first VACUUM or ANALYZE. A table that another session locks, or waits to lock, in
-- ACCESS EXCLUSIVE mode has no size, because reading it would wait.
WITH option AS MATERIALIZED (
  SELECT c.oid,
         pg_catalog.max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_enabled')::bool AS enabled,
         pg_catalog.max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_threshold')::float8 AS base,
         pg_catalog.max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_scale_factor')::float8 AS scale,
         pg_catalog.max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_max_threshold')::float8 AS most
  FROM pg_catalog.pg_class c
  CROSS JOIN LATERAL pg_catalog.pg_options_to_table(c.reloptions) o
  WHERE c.relkind IN ('r', 'm', 't') AND c.reloptions IS NOT NULL
    AND pg_catalog.strpos(c.reloptions::text, 'autovacuum') > 0
  GROUP BY c.oid
), locked AS MATERIALIZED (
  SELECT DISTINCT l.relation FROM pg_catalog.pg_locks l
  WHERE l.mode = 'AccessExclusiveLock' AND l.locktype = 'relation'
    AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                      WHERE d.datname = pg_catalog.current_database())
), candidate AS MATERIALIZED (
  SELECT c.oid, c.relkind = 't' AS is_toast, c.reltuples, o.enabled, o.scale, o.base, o.most,
         CASE WHEN c.relkind <> 't' THEN nullif(c.reltoastrelid, 0) END AS toast
  FROM pg_catalog.pg_class c
  LEFT JOIN option o ON o.oid = c.oid
  WHERE c.relkind IN ('r', 'm', 't') AND c.relpersistence <> 't'
    AND (NOT o.enabled OR c.relkind <> 't' AND c.reltuples >= %(least_rows)s::float8)
  ORDER BY c.reltuples DESC, c.oid
  LIMIT 1000
), listed AS MATERIALIZED (
  SELECT c.oid, coalesce(w.oid, c.oid) AS owner, c.is_toast,
         coalesce(NOT c.enabled, false) AS is_off, c.reltuples, c.toast,
         coalesce(c.scale, pg_catalog.current_setting('autovacuum_vacuum_scale_factor')::float8) AS scale,
         coalesce(c.base, pg_catalog.current_setting('autovacuum_vacuum_threshold')::float8) AS base,
         coalesce(c.most, pg_catalog.current_setting('autovacuum_vacuum_max_threshold', true)::float8) AS most
  FROM candidate c
  LEFT JOIN pg_catalog.pg_class w ON c.is_toast AND w.reltoastrelid = c.oid
  LEFT JOIN option p ON p.oid = w.oid
  WHERE coalesce(p.enabled, true)
)
SELECT
  n.nspname::text AS schema,
  c.relname::text AS name,
  rn.nspname::text AS root_schema,
  r.relname::text AS root_name,
  l.is_off,
  l.is_toast,
  l.reltuples::float8 AS n_rows,
  CASE WHEN NOT EXISTS (SELECT FROM locked k WHERE k.relation IN (l.oid, l.toast))
       THEN pg_catalog.pg_relation_size(l.oid)
            + CASE WHEN l.toast IS NULL THEN 0 ELSE pg_catalog.pg_relation_size(l.toast) END
       END AS size_bytes,
  CASE WHEN l.most >= 0 THEN least(l.most, l.base + l.scale * greatest(l.reltuples, 0))
       ELSE l.base + l.scale * greatest(l.reltuples, 0) END::float8 AS threshold,
  l.scale,
  pg_catalog.pg_stat_get_dead_tuples(l.oid) AS n_dead,
  pg_catalog.pg_stat_get_tuples_inserted(l.oid) + pg_catalog.pg_stat_get_tuples_updated(l.oid)
    + pg_catalog.pg_stat_get_tuples_deleted(l.oid) AS n_written,
  greatest(pg_catalog.pg_stat_get_last_vacuum_time(l.oid),
           pg_catalog.pg_stat_get_last_autovacuum_time(l.oid)) AS vacuumed_at,
  (SELECT coalesce(greatest(d.stats_reset, pg_catalog.pg_postmaster_start_time()),
                   pg_catalog.pg_postmaster_start_time())
   FROM pg_catalog.pg_stat_database d WHERE d.datname = pg_catalog.current_database()) AS counted_since
FROM listed l
JOIN pg_catalog.pg_class c ON c.oid = l.owner
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class r ON r.oid = pg_catalog.pg_partition_root(CASE WHEN c.relispartition THEN c.oid END)::pg_catalog.oid
LEFT JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
                    AND d.deptype = 'e')
ORDER BY l.reltuples DESC, 1, 2
