-- list_tables: tables, materialized views and TOAST tables above a size
-- since: 15
-- params: min_bytes int8
-- columns: oid oid, kind text, schema text, name text, owner_schema text, owner_name text, pages int4, n_rows float4, size_bytes int8, fill_factor int4, readable bool, secured bool, n_changed int8, n_dead int8, analyzed_at timestamptz, vacuumed_at timestamptz, is_view bool, is_logged bool, has_identity bool, has_key bool
-- locks: ACCESS SHARE on each, for its size
-- source: PostgreSQL manual, 53.11 pg_class, 28.2.20 Statistics Functions
-- Temporary tables are left out. If relpages is unknown, the file size is used. A table that is
-- locked in ACCESS EXCLUSIVE mode has no size, because reading it would wait. Tables of extensions
-- are left out: they are not the owner's to change.
WITH candidate AS MATERIALIZED (
  SELECT c.oid, c.relkind, c.relnamespace, c.relname, c.relpages, c.reltuples, c.reloptions,
    c.relpersistence, c.relreplident
  FROM pg_catalog.pg_class c
  WHERE c.relkind IN ('r', 'm', 't')
    AND c.relpersistence <> 't'
    AND (c.relpages::int8 * 8192 * 2 >= %(min_bytes)s::int8
         OR (c.reltuples < 0 AND pg_catalog.pg_stat_get_tuples_inserted(c.oid) > 0))
), locked AS MATERIALIZED (
  SELECT DISTINCT l.relation FROM pg_catalog.pg_locks l
  WHERE l.mode = 'AccessExclusiveLock' AND l.locktype = 'relation'
    AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                      WHERE d.datname = pg_catalog.current_database())
), sized AS MATERIALIZED (
  SELECT c.*,
         CASE WHEN NOT EXISTS (SELECT FROM locked WHERE locked.relation = c.oid)
              THEN pg_catalog.pg_relation_size(c.oid) END AS size_bytes
  FROM candidate c
)
SELECT
  s.oid,
  s.relkind::text AS kind,
  n.nspname::text AS schema,
  s.relname::text AS name,
  m.nspname::text AS owner_schema,
  o.relname::text AS owner_name,
  s.relpages AS pages,
  s.reltuples AS n_rows,
  s.size_bytes,
  coalesce((SELECT x.option_value::int4 FROM pg_catalog.pg_options_to_table(s.reloptions) x
            WHERE x.option_name = 'fillfactor'), 100) AS fill_factor,
  pg_catalog.has_any_column_privilege(coalesce(o.oid, s.oid), 'SELECT') AS readable,
  pg_catalog.row_security_active(coalesce(o.oid, s.oid)) AS secured,
  pg_catalog.pg_stat_get_mod_since_analyze(s.oid) AS n_changed,
  pg_catalog.pg_stat_get_dead_tuples(s.oid) AS n_dead,
  greatest(pg_catalog.pg_stat_get_last_analyze_time(s.oid),
           pg_catalog.pg_stat_get_last_autoanalyze_time(s.oid)) AS analyzed_at,
  greatest(pg_catalog.pg_stat_get_last_vacuum_time(s.oid),
           pg_catalog.pg_stat_get_last_autovacuum_time(s.oid)) AS vacuumed_at,
  coalesce(o.relkind, s.relkind) = 'm' AS is_view,
  s.relpersistence = 'p' AS is_logged,
  EXISTS (SELECT FROM pg_catalog.pg_index i
          WHERE i.indrelid = coalesce(o.oid, s.oid) AND i.indisvalid AND i.indimmediate
            AND CASE coalesce(o.relreplident, s.relreplident)
                WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END) AS has_identity,
  EXISTS (SELECT FROM pg_catalog.pg_index i
          WHERE i.indrelid = coalesce(o.oid, s.oid) AND i.indisvalid AND i.indisunique
            AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                            WHERE a.attrelid = i.indrelid AND NOT a.attnotnull
                              AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
         ) AS has_key
FROM sized s
JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
LEFT JOIN pg_catalog.pg_class o ON s.relkind = 't' AND o.reltoastrelid = s.oid
LEFT JOIN pg_catalog.pg_namespace m ON m.oid = o.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'maintenance')
  AND (s.relkind <> 't' OR m.nspname NOT IN ('pg_catalog', 'information_schema', 'maintenance'))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                    AND d.objid = coalesce(o.oid, s.oid) AND d.deptype = 'e')
  AND coalesce(s.size_bytes, s.relpages::int8 * 8192) >= %(min_bytes)s::int8
ORDER BY s.oid
