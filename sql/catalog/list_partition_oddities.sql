-- list_partition_oddities: what partitions have otherwise than their parent or most of their siblings
-- since: 14
-- params: parents oid[], most int8
-- columns: parent oid, schema text, name text, what text
-- locks: none
-- source: PostgreSQL manual, 53 System Catalogs
-- All of these are reported and none is put right: somebody may have meant them.
WITH child AS MATERIALIZED (
  SELECT i.inhparent AS parent, c.oid, c.relnamespace, c.relname, c.reloptions, c.reltablespace
    FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
   WHERE i.inhparent = ANY (%(parents)s::oid[])
     AND c.relkind = 'r'
     AND NOT i.inhdetachpending
), usual AS (
  SELECT c.parent,
         pg_catalog.mode() WITHIN GROUP (ORDER BY coalesce(c.reloptions, '{}')) AS reloptions
    FROM child c GROUP BY c.parent
), published AS (
  SELECT DISTINCT c.parent, r.prpubid
    FROM child c JOIN pg_catalog.pg_publication_rel r ON r.prrelid = c.oid
), policed AS (
  SELECT p.polrelid, pg_catalog.count(*) AS n
    FROM pg_catalog.pg_policy p GROUP BY p.polrelid
), odd AS (
  SELECT c.parent, c.oid, c.relnamespace, c.relname,
         'storage options ' || coalesce(c.reloptions, '{}')::text || ', most siblings have '
         || u.reloptions::text AS what
    FROM child c JOIN usual u ON u.parent = c.parent
   WHERE coalesce(c.reloptions, '{}') <> u.reloptions
  UNION ALL
  SELECT c.parent, c.oid, c.relnamespace, c.relname, 'another tablespace than its parent'
    FROM child c JOIN pg_catalog.pg_class p ON p.oid = c.parent
   WHERE p.reltablespace <> 0 AND c.reltablespace <> p.reltablespace
  UNION ALL
  SELECT c.parent, c.oid, c.relnamespace, c.relname, 'not in publication ' || b.pubname
    FROM child c
    JOIN published s ON s.parent = c.parent
    JOIN pg_catalog.pg_publication b ON b.oid = s.prpubid
   WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel r
                      WHERE r.prpubid = s.prpubid AND r.prrelid = c.oid)
  UNION ALL
  SELECT c.parent, c.oid, c.relnamespace, c.relname,
         'row security policies ' || coalesce(own.n, 0) || ', its parent has '
         || coalesce(theirs.n, 0)
    FROM child c
    LEFT JOIN policed own ON own.polrelid = c.oid
    LEFT JOIN policed theirs ON theirs.polrelid = c.parent
   WHERE coalesce(own.n, 0) <> coalesce(theirs.n, 0)
  UNION ALL
  SELECT x.indrelid AS parent, k.oid, k.relnamespace, k.relname,
         'invalid index of the parent: some partition lacks it'
    FROM pg_catalog.pg_index x
    JOIN pg_catalog.pg_class k ON k.oid = x.indexrelid
   WHERE x.indrelid = ANY (%(parents)s::oid[]) AND NOT x.indisvalid
)
SELECT o.parent, n.nspname::text AS schema, o.relname::text AS name, o.what
FROM odd o
JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
ORDER BY o.oid DESC, o.what
LIMIT %(most)s
