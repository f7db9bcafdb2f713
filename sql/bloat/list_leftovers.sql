-- list_leftovers: invalid indexes, and the valid indexes of which each is a copy
-- since: 15
-- params:
-- columns: oid oid, schema text, name text, table_schema text, table_name text, table_oid oid, is_copy bool, twins oid[], is_building bool
-- locks: none
-- source: PostgreSQL manual, REINDEX, Rebuilding Indexes Concurrently; 28.4.2 pg_stat_progress_create_index
-- A copy has a name that only REINDEX CONCURRENTLY gives. Twins are the valid indexes of that
-- table with the same definition, column by column; expression trees are compared without their
-- positions in the original statement, which a copied tree does not have.
SELECT
  c.oid,
  n.nspname::text AS schema,
  c.relname::text AS name,
  tn.nspname::text AS table_schema,
  t.relname::text AS table_name,
  t.oid AS table_oid,
  c.relname ~ '_cc(new|old)[0-9]*$' AS is_copy,
  ARRAY(SELECT v.indexrelid FROM pg_catalog.pg_index v
        JOIN pg_catalog.pg_class vc ON vc.oid = v.indexrelid AND vc.relam = c.relam
        WHERE v.indrelid = i.indrelid AND v.indexrelid <> i.indexrelid AND v.indisvalid
          AND v.indkey = i.indkey AND v.indclass = i.indclass
          AND v.indcollation = i.indcollation AND v.indoption = i.indoption
          AND v.indnkeyatts = i.indnkeyatts AND v.indisunique = i.indisunique
          AND pg_catalog.to_jsonb(v) -> 'indnullsnotdistinct'
              IS NOT DISTINCT FROM pg_catalog.to_jsonb(i) -> 'indnullsnotdistinct'
          AND pg_catalog.regexp_replace(v.indpred::text, ' :location -?[0-9]+', '', 'g')
              IS NOT DISTINCT FROM
              pg_catalog.regexp_replace(i.indpred::text, ' :location -?[0-9]+', '', 'g')
          AND pg_catalog.regexp_replace(v.indexprs::text, ' :location -?[0-9]+', '', 'g')
              IS NOT DISTINCT FROM
              pg_catalog.regexp_replace(i.indexprs::text, ' :location -?[0-9]+', '', 'g')
        ORDER BY 1) AS twins,
  EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.relid = t.oid)
    OR EXISTS (SELECT FROM pg_catalog.pg_locks l
               WHERE l.relation = c.oid AND l.mode = 'ShareUpdateExclusiveLock'
                 AND l.granted) AS is_building
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
WHERE NOT i.indisvalid
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = c.oid)
ORDER BY c.oid
