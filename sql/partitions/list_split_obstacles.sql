-- list_split_obstacles: objects for which a partition can't be replaced by several others
-- since: 15
-- params: parent oid, relations oid[]
-- columns: kind text, name text
-- locks: none
-- source: PostgreSQL manual, 53.26 pg_index, 53.42 pg_publication_rel, 53.55 pg_subscription_rel
-- subscribers know the partition by its name, and would stop at the name of another
SELECT DISTINCT 'publication_of_partitions' AS kind, p.pubname::text AS name
FROM pg_catalog.pg_publication p
JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid
WHERE NOT p.pubviaroot
  AND r.prrelid IN (SELECT a.relid FROM pg_catalog.pg_partition_ancestors(%(parent)s::oid) a)
UNION ALL
SELECT 'subscription', s.srrelid::pg_catalog.regclass::text
FROM pg_catalog.pg_subscription_rel s
WHERE s.srrelid = ANY (%(relations)s::oid[])
UNION ALL
-- an index of its own, which new partitions lack
SELECT 'index', i.indexrelid::pg_catalog.regclass::text
FROM pg_catalog.pg_index i
WHERE i.indrelid = ANY (%(relations)s::oid[])
  AND i.indisvalid
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = i.indexrelid)
ORDER BY 1, 2
