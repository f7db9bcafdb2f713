-- describe_table: the properties of a partitioned table that determine how its default partition is copied
-- since: 15
-- params: relation oid
-- columns: columns jsonb, stored jsonb, identity jsonb, partition_key text, n_indexes int8, foreign_keys jsonb
-- locks: none
-- source: PostgreSQL manual, 53 System Catalogs
SELECT
  (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY a.attnum)
     FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attgenerated = '') AS columns,
  -- virtual columns are computed when read
  (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY a.attnum)
     FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attgenerated IN ('', 's')) AS stored,
  -- the primary key, else the shortest unique index over columns that are never null
  (SELECT (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY k.place)
             FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
            WHERE k.place <= i.indnkeyatts)
     FROM pg_catalog.pg_index i
    WHERE i.indrelid = c.oid
      AND i.indisunique AND i.indimmediate AND i.indisvalid
      AND i.indpred IS NULL AND i.indexprs IS NULL
      AND NOT EXISTS (
        SELECT FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
         WHERE k.place <= i.indnkeyatts AND NOT a.attnotnull)
    ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid
    LIMIT 1) AS identity,
  pg_catalog.pg_get_partkeydef(c.oid) AS partition_key,
  (SELECT pg_catalog.count(*)
     FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid) AS n_indexes,
  (SELECT pg_catalog.jsonb_agg(
            pg_catalog.jsonb_build_array(
              k.conname, pg_catalog.pg_get_constraintdef(k.oid), n.nspname, r.relname)
            ORDER BY k.conname)
     FROM pg_catalog.pg_constraint k
     JOIN pg_catalog.pg_class r ON r.oid = k.confrelid
     JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
    WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.convalidated
      AND k.conparentid = 0) AS foreign_keys
FROM pg_catalog.pg_class c
WHERE c.oid = %(relation)s
