-- list_helpers: CHECKs, indexes, relations and functions whose names are reserved for what runs make for themselves
-- since: 15
-- params:
-- columns: oid oid, kind text, schema text, name text, part text, owner text, is_ours bool, is_proven bool, partitions jsonb, size_bytes int8
-- locks: ACCESS SHARE on the helpers; their size waits for an ACCESS EXCLUSIVE lock
-- source: PostgreSQL manual, 53.13 pg_constraint, 53.26 pg_index
-- A name proves nothing. A helper CHECK is on the default partition of a parent, and on its key alone;
-- that of a conversion is on a plain table (and the journal knows of it), and its index bears the OID
-- of that table.
SELECT k.oid, 'check' AS kind, n.nspname::text AS schema, c.relname::text AS name, k.conname::text AS part,
       pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
       pg_catalog.pg_has_role(c.relowner, 'USAGE') AS is_ours,
       coalesce(p.partdefid = c.oid AND k.conislocal AND k.coninhcount = 0
                AND k.conkey = ARRAY(SELECT a.attnum
                                       FROM pg_catalog.pg_attribute key
                                       JOIN pg_catalog.pg_attribute a
                                         ON a.attrelid = c.oid AND a.attname = key.attname
                                      WHERE key.attrelid = p.partrelid
                                        AND key.attnum = ANY (p.partattrs::int2[])), false) AS is_proven,
       (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(tn.nspname, tc.relname) ORDER BY t.level)
          FROM pg_catalog.pg_partition_tree(c.oid) t
          JOIN pg_catalog.pg_class tc ON tc.oid = t.relid
          JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace) AS partitions,
       NULL::int8 AS size_bytes
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = i.inhparent
WHERE k.contype = 'c' AND k.conislocal
  AND k.conname::text ~ '^maintenance_((not|only)_[0-9_]+|restored_bounds|restoring_away)$'
UNION ALL
SELECT k.oid, 'conversion check', n.nspname::text, c.relname::text, k.conname::text,
       pg_catalog.pg_get_userbyid(c.relowner)::text, pg_catalog.pg_has_role(c.relowner, 'USAGE'),
       c.relkind = 'r' AND NOT c.relispartition AND k.conislocal AND pg_catalog.cardinality(k.conkey) = 1,
       NULL, NULL
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'c' AND k.conname::text ~ '^maintenance_convert_until_[0-9_]+$'
UNION ALL
SELECT c.oid, CASE WHEN c.relkind IN ('i', 'I') THEN 'index' ELSE 'relation' END, n.nspname::text,
       coalesce(t.relname, c.relname)::text, c.relname::text,
       pg_catalog.pg_get_userbyid(c.relowner)::text, pg_catalog.pg_has_role(c.relowner, 'USAGE'),
       coalesce(c.relname = 'maintenance_convert_' || x.indrelid || '_key' AND x.indisunique
                AND t.relkind = 'r' AND NOT t.relispartition
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = c.oid), false),
       NULL, pg_catalog.pg_total_relation_size(c.oid)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = c.oid
LEFT JOIN pg_catalog.pg_class t ON t.oid = x.indrelid
WHERE n.nspname <> 'maintenance' AND c.relkind IN ('r', 'p', 'm', 'i', 'I') AND c.relpersistence <> 't'
  AND c.relname::text ~ '^maintenance_((drain|convert)_[0-9]+|convert_[a-z]+|restore|rebuild)_'
  -- an index of a relation that is listed itself goes with it
  AND (x.indrelid IS NULL
       OR t.relname::text !~ '^maintenance_((drain|convert)_[0-9]+|convert_[a-z]+|restore|rebuild)_')
UNION ALL
SELECT f.oid, 'function', n.nspname::text, f.proname::text, NULL,
       pg_catalog.pg_get_userbyid(f.proowner)::text, pg_catalog.pg_has_role(f.proowner, 'USAGE'),
       false, NULL, NULL
FROM pg_catalog.pg_proc f
JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace
WHERE f.proname::text ~ '^maintenance_drain_[0-9]+_capture$'
ORDER BY 3, 4, 5
