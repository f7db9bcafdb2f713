-- list_marks: the tables, materialized views and foreign keys with a mark of ours in their comment, see ddl/marks.py
-- since: 15
-- params:
-- columns: oid oid, schema text, name text, part text, kind text, comment text, owner text, is_ours bool, attached bool, has_rows bool, size_bytes int8, is_valid bool
-- locks: ACCESS SHARE on the marked tables; their size waits for an ACCESS EXCLUSIVE lock
-- source: PostgreSQL manual, 53.19 pg_description, 9.28.7 Database Object Management Functions
-- The store's own tables go with the store. A table counts as one with rows while its files, or those of its partitions, have a page.
WITH marked AS MATERIALIZED (
  SELECT d.classoid, d.objoid, d.description
    FROM pg_catalog.pg_description d
   WHERE d.objsubid = 0
     AND d.description ~ '(^|\n)maintenance: \{'
     AND d.classoid IN ('pg_catalog.pg_class'::pg_catalog.regclass,
                        'pg_catalog.pg_constraint'::pg_catalog.regclass)
)
SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, NULL::text AS part,
       c.relkind::text AS kind, m.description AS comment,
       pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
       pg_catalog.pg_has_role(c.relowner, 'USAGE') AS is_ours,
       c.relispartition AS attached,
       coalesce((SELECT pg_catalog.bool_or(pg_catalog.pg_relation_size(t.relid) > 0)
                   FROM pg_catalog.pg_partition_tree(c.oid) t),
                pg_catalog.pg_relation_size(c.oid) > 0) AS has_rows,
       coalesce((SELECT pg_catalog.sum(pg_catalog.pg_total_relation_size(t.relid))
                   FROM pg_catalog.pg_partition_tree(c.oid) t),
                pg_catalog.pg_total_relation_size(c.oid))::int8 AS size_bytes,
       NULL::bool AS is_valid
FROM marked m
JOIN pg_catalog.pg_class c ON c.oid = m.objoid AND c.relkind IN ('r', 'p', 'm')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE m.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
  AND n.nspname <> 'maintenance'
UNION ALL
SELECT k.oid, n.nspname::text, c.relname::text, k.conname::text, 'foreign key', m.description,
       pg_catalog.pg_get_userbyid(c.relowner)::text, pg_catalog.pg_has_role(c.relowner, 'USAGE'),
       c.relispartition, true, NULL, k.convalidated
FROM marked m
JOIN pg_catalog.pg_constraint k ON k.oid = m.objoid AND k.contype = 'f'
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE m.classoid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
ORDER BY 2, 3, 4
