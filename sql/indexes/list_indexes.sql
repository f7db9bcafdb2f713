-- list_indexes: one row for each index on a user table or materialized view
-- since: 15
-- params:
-- columns: oid oid, parent oid, table_oid oid, schema text, name text, method text, is_partitioned bool, is_unique bool, is_primary bool, is_exclusion bool, is_immediate bool, nulls_not_distinct bool, is_clustered bool, is_replica_identity bool, is_referenced bool, is_valid bool, is_building bool, n_parts int4, is_readable bool, pages int4, n_keys int4, columns int2[], opclasses oid[], collations oid[], directions int2[], expressions text[], predicate text, parameters text, tablespace text, constraint_name text
-- locks: ACCESS SHARE on tables of indexes with an expression or a predicate, on indexes of tables never analyzed
-- source: PostgreSQL manual, 53.26 pg_index, 53.13 pg_constraint
-- Deparsing an expression opens the table, which waits behind an ACCESS EXCLUSIVE lock: indexes of
-- such tables are marked unreadable. A running build is detected by its progress and by its lock,
-- because the progress views hide it from roles without pg_read_all_stats; for those roles VACUUM
-- and ANALYZE, which take the same lock, look like a build.
-- Until the first VACUUM or ANALYZE of a table, relpages of its indexes are those when they were made:
-- their size is that of their file then, unless another session holds or awaits ACCESS EXCLUSIVE.
WITH locks AS MATERIALIZED (
  SELECT l.relation, l.mode, l.pid
    FROM pg_catalog.pg_locks l
   WHERE l.locktype = 'relation' AND l.granted
     AND l.mode IN ('AccessExclusiveLock', 'ShareUpdateExclusiveLock')
     AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                        WHERE d.datname = pg_catalog.current_database())
     AND l.pid <> pg_catalog.pg_backend_pid()
), building AS MATERIALIZED (
  SELECT l.relation
    FROM locks l
   WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_vacuum v
                      WHERE v.pid = l.pid AND v.relid = l.relation)
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_analyze a
                      WHERE a.pid = l.pid AND a.relid = l.relation)
  UNION ALL
  SELECT p.relid
    FROM pg_catalog.pg_stat_progress_create_index p
   WHERE p.relid IS NOT NULL
     AND p.datid = (SELECT d.oid FROM pg_catalog.pg_database d
                     WHERE d.datname = pg_catalog.current_database())
), exclusive AS MATERIALIZED (
  SELECT l.relation
    FROM pg_catalog.pg_locks l
   WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
     AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                        WHERE d.datname = pg_catalog.current_database())
     AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
), referenced AS MATERIALIZED (
  SELECT DISTINCT f.conindid FROM pg_catalog.pg_constraint f WHERE f.contype = 'f'
), members AS MATERIALIZED (
  SELECT e.objid
    FROM pg_catalog.pg_depend e
   WHERE e.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
     AND e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.deptype = 'e'
), found AS (
  SELECT i.*, t.reltuples, c.relname, c.relnamespace, c.relkind, c.relpages, c.relam, c.reltablespace, c.reloptions,
         i.indrelid NOT IN (SELECT l.relation FROM locks l WHERE l.mode = 'AccessExclusiveLock')
         AND i.indexrelid NOT IN (SELECT l.relation FROM locks l WHERE l.mode = 'AccessExclusiveLock') AS is_readable
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
   WHERE c.relpersistence <> 't' AND c.relkind IN ('i', 'I')
     AND c.relnamespace = ANY (ARRAY(
           SELECT n.oid FROM pg_catalog.pg_namespace n
            WHERE NOT pg_catalog.starts_with(n.nspname::text, 'pg_')
              AND n.nspname NOT IN ('information_schema', 'maintenance')))
     AND NOT EXISTS (SELECT FROM members e WHERE e.objid = i.indrelid)
     AND NOT EXISTS (SELECT FROM members e WHERE e.objid = i.indexrelid)
)
SELECT
  i.indexrelid AS oid,
  h.inhparent AS parent,
  i.indrelid AS table_oid,
  n.nspname::text AS schema,
  i.relname::text AS name,
  m.amname::text AS method,
  i.relkind = 'I' AS is_partitioned,
  i.indisunique AS is_unique,
  i.indisprimary AS is_primary,
  i.indisexclusion AS is_exclusion,
  i.indimmediate AS is_immediate,
  i.indnullsnotdistinct AS nulls_not_distinct,
  i.indisclustered AS is_clustered,
  i.indisreplident AS is_replica_identity,
  i.indexrelid IN (SELECT r.conindid FROM referenced r) AS is_referenced,
  i.indisvalid AND i.indisready AND i.indislive AS is_valid,
  i.indrelid IN (SELECT b.relation FROM building b) AS is_building,
  CASE WHEN i.relkind = 'I' AND NOT i.indisvalid
       THEN (SELECT pg_catalog.count(*)::int4 FROM pg_catalog.pg_inherits p WHERE p.inhparent = i.indrelid)
  END AS n_parts,
  i.is_readable,
  CASE WHEN i.relkind = 'i' AND i.reltuples < 0
            AND i.indexrelid NOT IN (SELECT x.relation FROM exclusive x)
       THEN (pg_catalog.pg_relation_size(i.indexrelid)
             / pg_catalog.current_setting('block_size')::int8)::int4
       ELSE i.relpages END AS pages,
  i.indnkeyatts::int4 AS n_keys,
  i.indkey::int2[] AS columns,
  i.indclass::oid[] AS opclasses,
  i.indcollation::oid[] AS collations,
  i.indoption::int2[] AS directions,
  CASE WHEN i.indexprs IS NOT NULL AND i.is_readable
       THEN (SELECT pg_catalog.array_agg(pg_catalog.pg_get_indexdef(i.indexrelid, k.place::int4, false) ORDER BY k.place)
               FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
              WHERE k.attnum = 0) END AS expressions,
  CASE WHEN i.indpred IS NOT NULL AND i.is_readable
       THEN pg_catalog.pg_get_expr(i.indpred, i.indrelid) END AS predicate,
  -- those of operator classes, and where they decide what an index can do its own
  CASE WHEN m.amname NOT IN ('btree', 'hash')
       THEN pg_catalog.concat_ws('; ', i.reloptions::text,
              (SELECT pg_catalog.string_agg(a.attnum || a.attoptions::text, ', ' ORDER BY a.attnum)
                 FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = i.indexrelid AND a.attoptions IS NOT NULL)) END AS parameters,
  s.spcname::text AS tablespace,
  k.conname::text AS constraint_name
FROM found i
JOIN pg_catalog.pg_namespace n ON n.oid = i.relnamespace
JOIN pg_catalog.pg_am m ON m.oid = i.relam
LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = i.reltablespace
LEFT JOIN pg_catalog.pg_inherits h ON h.inhrelid = i.indexrelid
LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
