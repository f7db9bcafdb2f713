-- list_indexes: valid btree indexes above a size
-- since: 15
-- params: min_bytes int8
-- columns: oid oid, schema text, name text, table_oid oid, table_schema text, table_name text, table_kind text, size_bytes int8, n_rows float4, fill_factor int4, keys int2[], is_plain bool, is_unique bool, is_rebuildable bool, deduplicates bool, is_padded bool, manageable bool, readable bool, secured bool, table_pages int4, table_size_bytes int8, n_changed int8, n_dead int8, analyzed_at timestamptz, tablespace text, ancestors text[]
-- locks: ACCESS SHARE on each and its table, for their sizes
-- source: PostgreSQL manual, 53.26 pg_index, 67.4.3 Deduplication
-- Plain means without predicate and expressions. Keys are all its columns, including INCLUDE. Ancestors
-- are the partitioned indexes that it is a part of. Indexes on tables of extensions are left out.
-- What is large is found first, since few relations are: relpages may be half of the size, and are
-- unknown until the first VACUUM or ANALYZE.
WITH large AS MATERIALIZED (
  SELECT c.oid
  FROM pg_catalog.pg_class c
  WHERE c.relkind IN ('r', 'm', 'i')
    AND (c.relpages::int8 * 8192 * 2 >= %(min_bytes)s::int8
         OR (c.reltuples < 0 AND c.relkind <> 'i' AND pg_catalog.pg_stat_get_tuples_inserted(c.oid) > 0))
), locked AS MATERIALIZED (
  SELECT DISTINCT l.relation FROM pg_catalog.pg_locks l
  WHERE l.mode = 'AccessExclusiveLock' AND l.locktype = 'relation'
    AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                      WHERE d.datname = pg_catalog.current_database())
), candidate AS MATERIALIZED (
  SELECT i.*
  FROM pg_catalog.pg_index i
  WHERE i.indisvalid
    AND (i.indexrelid IN (SELECT l.oid FROM large l) OR i.indrelid IN (SELECT l.oid FROM large l))
), sized AS MATERIALIZED (
  SELECT
    c.oid, c.relname, c.relnamespace, c.reloptions, c.reltablespace, c.relispartition, t.oid AS table_oid,
    t.relname AS table_name, t.relnamespace AS table_namespace, t.relkind AS table_kind,
    t.relpages AS table_pages, t.reltuples, t.relowner, i.indkey, i.indnatts, i.indnkeyatts,
    i.indpred, i.indexprs, i.indisunique, i.indisexclusion, i.indclass, i.indcollation,
    CASE WHEN NOT EXISTS (SELECT FROM locked k WHERE k.relation IN (c.oid, t.oid))
         THEN pg_catalog.pg_relation_size(c.oid) END AS size_bytes,
    CASE WHEN NOT EXISTS (SELECT FROM locked k WHERE k.relation IN (c.oid, t.oid))
         THEN pg_catalog.pg_relation_size(t.oid) END AS table_size_bytes
  FROM candidate i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i' AND c.relpersistence <> 't'
  JOIN pg_catalog.pg_am m ON m.oid = c.relam AND m.amname = 'btree'
  JOIN pg_catalog.pg_class t ON t.oid = i.indrelid AND t.relkind IN ('r', 'm')
)
SELECT
  s.oid,
  n.nspname::text AS schema,
  s.relname::text AS name,
  s.table_oid,
  tn.nspname::text AS table_schema,
  s.table_name::text AS table_name,
  s.table_kind::text AS table_kind,
  s.size_bytes,
  s.reltuples AS n_rows,
  coalesce((SELECT x.option_value::int4 FROM pg_catalog.pg_options_to_table(s.reloptions) x
            WHERE x.option_name = 'fillfactor'), 90) AS fill_factor,
  s.indkey::int2[] AS keys,
  s.indpred IS NULL AND s.indexprs IS NULL AS is_plain,
  s.indisunique AS is_unique,
  NOT s.indisexclusion AS is_rebuildable,
  s.indnatts = s.indnkeyatts
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_options_to_table(s.reloptions) x
                    WHERE x.option_name = 'deduplicate_items'
                      AND pg_catalog.lower(x.option_value) IN ('off', 'false', 'no', '0'))
    AND NOT EXISTS (
      SELECT FROM ROWS FROM (pg_catalog.unnest(s.indclass::oid[]),
                             pg_catalog.unnest(s.indcollation::oid[])) AS k (class, collation_oid)
      JOIN pg_catalog.pg_opclass o ON o.oid = k.class
      LEFT JOIN pg_catalog.pg_amproc p
             ON p.amprocfamily = o.opcfamily AND p.amproclefttype = o.opcintype
            AND p.amprocrighttype = o.opcintype AND p.amprocnum = 4
      LEFT JOIN pg_catalog.pg_collation b ON b.oid = k.collation_oid
      WHERE p.oid IS NULL OR b.collisdeterministic IS FALSE) AS deduplicates,
  EXISTS (SELECT FROM pg_catalog.unnest(s.indclass::oid[]) AS k (class)
          JOIN pg_catalog.pg_opclass o ON o.oid = k.class
          WHERE o.opcintype = 'pg_catalog.bpchar'::pg_catalog.regtype) AS is_padded,
  pg_catalog.pg_has_role(s.relowner, 'USAGE') AS manageable,
  pg_catalog.has_any_column_privilege(s.table_oid, 'SELECT') AS readable,
  pg_catalog.row_security_active(s.table_oid) AS secured,
  s.table_pages,
  s.table_size_bytes,
  pg_catalog.pg_stat_get_mod_since_analyze(s.table_oid) AS n_changed,
  pg_catalog.pg_stat_get_dead_tuples(s.table_oid) AS n_dead,
  greatest(pg_catalog.pg_stat_get_last_analyze_time(s.table_oid),
           pg_catalog.pg_stat_get_last_autoanalyze_time(s.table_oid)) AS analyzed_at,
  nullif(pg_catalog.pg_tablespace_location(s.reltablespace), '') AS tablespace,
  CASE WHEN s.relispartition THEN ARRAY(
    SELECT pg_catalog.quote_ident(an.nspname) || '.' || pg_catalog.quote_ident(ac.relname)
    FROM pg_catalog.pg_partition_ancestors(s.oid) AS a (oid)
    JOIN pg_catalog.pg_class ac ON ac.oid = a.oid
    JOIN pg_catalog.pg_namespace an ON an.oid = ac.relnamespace
    WHERE a.oid <> s.oid) ELSE '{}' END AS ancestors
FROM sized s
JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
JOIN pg_catalog.pg_namespace tn ON tn.oid = s.table_namespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'maintenance', 'pg_toast')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                    AND d.objid = s.table_oid AND d.deptype = 'e')
  AND coalesce(s.size_bytes, 0) >= %(min_bytes)s::int8
ORDER BY s.oid
