-- list_leftovers: invalid indexes that bear the name of an interrupted REINDEX CONCURRENTLY
-- since: 14
-- params:
-- columns: oid oid, schema text, name text, table_schema text, table_name text, table_oid oid, is_twin_of oid[], is_building bool
-- locks: none
-- source: PostgreSQL manual, REINDEX, Rebuilding Indexes Concurrently; 28.4.2 pg_stat_progress_create_index
-- Twins are the valid indexes of that table with the same definition, column by column.
SELECT
  c.oid,
  n.nspname::text AS schema,
  c.relname::text AS name,
  tn.nspname::text AS table_schema,
  t.relname::text AS table_name,
  t.oid AS table_oid,
  ARRAY(SELECT v.indexrelid FROM pg_catalog.pg_index v
        WHERE v.indrelid = i.indrelid AND v.indexrelid <> i.indexrelid AND v.indisvalid
          AND v.indkey = i.indkey AND v.indclass = i.indclass
          AND v.indcollation = i.indcollation AND v.indoption = i.indoption
          AND v.indnkeyatts = i.indnkeyatts AND v.indisunique = i.indisunique
          AND v.indpred::text IS NOT DISTINCT FROM i.indpred::text
          AND v.indexprs::text IS NOT DISTINCT FROM i.indexprs::text
        ORDER BY 1) AS is_twin_of,
  EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.relid = t.oid)
    OR EXISTS (SELECT FROM pg_catalog.pg_locks l
               WHERE l.relation = c.oid AND l.mode = 'ShareUpdateExclusiveLock'
                 AND l.granted) AS is_building
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
WHERE NOT i.indisvalid
  AND c.relname ~ '_cc(new|old)[0-9]*$'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = c.oid)
ORDER BY c.oid
