-- list_foreign_keys: one row for each foreign key of user tables, and one for each partition of them
-- since: 18
-- params:
-- columns: oid oid, parent oid, name text, table_oid oid, columns int2[], names text[], collations oid[], referenced_oid oid, referenced_schema text, referenced_name text, is_period bool
-- locks: none
-- source: PostgreSQL manual, 52.13 pg_constraint
-- A key that references a partitioned table has a row for each of its partitions too, with another
-- referenced table than its parent: left out. So are keys that are NOT
-- ENFORCED: a DELETE looks for no rows of theirs.
SELECT
  f.oid,
  CASE WHEN f.conparentid <> 0 THEN f.conparentid END AS parent,
  f.conname::text AS name,
  f.conrelid AS table_oid,
  f.conkey AS columns,
  (SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.place)
     FROM pg_catalog.unnest(f.conkey) WITH ORDINALITY AS k (attnum, place)
     JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum) AS names,
  (SELECT pg_catalog.array_agg(a.attcollation ORDER BY k.place)
     FROM pg_catalog.unnest(f.conkey) WITH ORDINALITY AS k (attnum, place)
     JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum) AS collations,
  f.confrelid AS referenced_oid,
  rn.nspname::text AS referenced_schema,
  r.relname::text AS referenced_name,
  f.conperiod AS is_period
FROM pg_catalog.pg_constraint f
JOIN pg_catalog.pg_class c ON c.oid = f.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class r ON r.oid = f.confrelid
JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
LEFT JOIN pg_catalog.pg_constraint p ON p.oid = f.conparentid
WHERE f.contype = 'f' AND f.conenforced AND c.relpersistence <> 't'
  AND (p.oid IS NULL OR p.confrelid = f.confrelid)
  AND NOT pg_catalog.starts_with(n.nspname::text, 'pg_')
  AND n.nspname NOT IN ('information_schema', 'maintenance')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                   WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                     AND e.objid = f.conrelid AND e.deptype = 'e')
