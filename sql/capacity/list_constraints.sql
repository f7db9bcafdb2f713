-- list_constraints: constraints that were never validated
-- since: 15
-- params:
-- columns: schema text, name text, constraint_name text, what text, size_bytes int8
-- locks: none
-- source: PostgreSQL manual, 53.13 pg_constraint, ALTER TABLE
-- A constraint that is not enforced (18) can't be validated. The helper checks of this software are
-- left out, and what a partition or an extension has from elsewhere.
SELECT
  n.nspname::text AS schema,
  c.relname::text AS name,
  k.conname::text AS constraint_name,
  CASE k.contype WHEN 'f' THEN 'foreign key' WHEN 'n' THEN 'NOT NULL' ELSE 'CHECK' END AS what,
  c.relpages::int8 * pg_catalog.current_setting('block_size')::int8 AS size_bytes
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT k.convalidated AND k.contype IN ('c', 'f', 'n')
  AND k.coninhcount = 0 AND k.conparentid = 0
  AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::bool, true)
  AND NOT pg_catalog.starts_with(k.conname::text, 'maintenance_')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
                    AND d.deptype = 'e')
ORDER BY 1, 2, 3
