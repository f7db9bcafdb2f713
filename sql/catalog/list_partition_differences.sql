-- list_partition_differences: differences of partitions from their parent or most of their siblings
-- since: 15
-- params: parents oid[], most int8
-- columns: parent oid, schema text, name text, reason text, found text, wanted text, about text, warns bool, statement text
-- locks: none
-- source: PostgreSQL manual, 53 System Catalogs
-- All are reported and none is corrected, because they may be intended.
WITH child AS MATERIALIZED (
  SELECT i.inhparent AS parent, c.oid, c.relnamespace, c.relname, c.reloptions, c.reltablespace,
         c.relam
    FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
   WHERE i.inhparent = ANY (%(parents)s::oid[])
     AND c.relkind = 'r'
     AND NOT i.inhdetachpending
), usual AS (
  SELECT c.parent,
         pg_catalog.mode() WITHIN GROUP (ORDER BY coalesce(c.reloptions, '{}')) AS reloptions,
         pg_catalog.mode() WITHIN GROUP (ORDER BY c.relam) AS relam,
         pg_catalog.count(*) AS n
    FROM child c GROUP BY c.parent
), described AS MATERIALIZED (
  SELECT c.parent, c.oid,
         pg_catalog.bool_or(d.objsubid = 0) AS itself,
         pg_catalog.count(*) FILTER (WHERE d.objsubid > 0) AS n_columns
    FROM child c
    JOIN pg_catalog.pg_description d
      ON d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
   WHERE d.description !~ '^maintenance: \{'
   GROUP BY c.parent, c.oid
), customary AS (
  -- of more than half of the partitions
  SELECT u.parent,
         pg_catalog.count(*) FILTER (WHERE d.itself) * 2 > u.n AS itself,
         pg_catalog.count(*) FILTER (WHERE d.n_columns > 0) * 2 > u.n AS columns
    FROM usual u JOIN described d ON d.parent = u.parent GROUP BY u.parent, u.n
), kin AS (
  SELECT i.inhparent AS parent, pg_catalog.min(i.inhrelid) AS first,
         pg_catalog.percentile_disc(0.5) WITHIN GROUP (ORDER BY i.inhrelid) AS middle,
         pg_catalog.max(i.inhrelid) AS last
    FROM pg_catalog.pg_inherits i
   WHERE i.inhparent = ANY (%(parents)s::oid[])
   GROUP BY i.inhparent
), sample AS (
  -- what most have, one of these has, or hardly ever: reading all columns of all takes long
  SELECT k.parent, s.oid
    FROM kin k
   CROSS JOIN LATERAL pg_catalog.unnest(ARRAY[k.first, k.middle, k.last]) AS s (oid)
), candidate AS MATERIALIZED (
  SELECT DISTINCT s.parent, a.attname
    FROM sample s
   CROSS JOIN LATERAL (
     SELECT a.attname FROM pg_catalog.pg_attribute a
      WHERE a.attrelid = s.oid
        AND coalesce(a.attstattarget, -1) >= 0 AND a.attnum > 0 AND NOT a.attisdropped
     OFFSET 0) a
), target AS MATERIALIZED (
  SELECT c.parent, c.oid, a.attname, a.attstattarget
    FROM candidate k
    JOIN child c ON c.parent = k.parent
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = k.attname
   WHERE coalesce(a.attstattarget, -1) >= 0
), customary_target AS (
  SELECT t.parent, t.attname, t.attstattarget
    FROM target t JOIN usual u ON u.parent = t.parent
   GROUP BY t.parent, t.attname, t.attstattarget, u.n
  HAVING pg_catalog.count(*) * 2 > u.n
), extended AS MATERIALIZED (
  SELECT e.stxrelid, pg_catalog.count(*) AS n
    FROM pg_catalog.pg_statistic_ext e GROUP BY e.stxrelid
), published AS (
  -- where all rows and columns of its siblings are published, a statement can be told
  SELECT c.parent, r.prpubid, pg_catalog.bool_and(r.prqual IS NULL AND r.prattrs IS NULL) AS whole
    FROM child c JOIN pg_catalog.pg_publication_rel r ON r.prrelid = c.oid
   GROUP BY c.parent, r.prpubid
), policed AS (
  SELECT p.polrelid, pg_catalog.count(*) AS n
    FROM pg_catalog.pg_policy p GROUP BY p.polrelid
), odd AS (
  SELECT c.parent, c.oid, c.relnamespace, c.relname,
         'storage_options' AS reason,
         coalesce(c.reloptions, '{}')::text AS found, u.reloptions::text AS wanted,
         NULL::text AS about, false AS warns, NULL::text AS statement
    FROM child c JOIN usual u ON u.parent = c.parent
   WHERE coalesce(c.reloptions, '{}') <> u.reloptions
  UNION ALL
  SELECT c.parent, c.oid, c.relnamespace, c.relname,
         'access_method', m.amname::text, w.amname::text, NULL, false, NULL
    FROM child c
    JOIN usual u ON u.parent = c.parent
    JOIN pg_catalog.pg_am m ON m.oid = c.relam
    JOIN pg_catalog.pg_am w ON w.oid = u.relam
   WHERE c.relam <> u.relam
  UNION ALL
  SELECT c.parent, c.oid, c.relnamespace, c.relname,
         'comment', NULL, NULL, NULL, false, NULL
    FROM child c
    JOIN customary k ON k.parent = c.parent AND k.itself
    LEFT JOIN described d ON d.oid = c.oid
   WHERE d.itself IS NOT TRUE
  UNION ALL
  SELECT c.parent, c.oid, c.relnamespace, c.relname,
         'column_comments', NULL, NULL, NULL, false, NULL
    FROM child c
    JOIN customary k ON k.parent = c.parent AND k.columns
    LEFT JOIN described d ON d.oid = c.oid
   WHERE coalesce(d.n_columns, 0) = 0
  UNION ALL
  SELECT c.parent, c.oid, c.relnamespace, c.relname,
         'statistics_target', coalesce(t.attstattarget::text, 'default'), k.attstattarget::text,
         pg_catalog.quote_ident(k.attname), false, NULL
    FROM customary_target k
    JOIN child c ON c.parent = k.parent
    LEFT JOIN target t ON t.oid = c.oid AND t.attname = k.attname
   WHERE t.attstattarget IS DISTINCT FROM k.attstattarget
     -- the caller compares it with the parent's own
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                      WHERE a.attrelid = k.parent AND a.attname = k.attname
                        AND coalesce(a.attstattarget, -1) >= 0)
  UNION ALL
  SELECT c.parent, c.oid, c.relnamespace, c.relname,
         'extended_statistics', coalesce(own.n, 0)::text, theirs.n::text, NULL, false, NULL
    FROM child c
    JOIN extended theirs ON theirs.stxrelid = c.parent
    LEFT JOIN extended own ON own.stxrelid = c.oid
   WHERE coalesce(own.n, 0) < theirs.n
  UNION ALL
  SELECT c.parent, c.oid, c.relnamespace, c.relname,
         'tablespace', NULL, NULL, NULL, false, NULL
    FROM child c JOIN pg_catalog.pg_class p ON p.oid = c.parent
   WHERE p.oid = ANY (%(parents)s::oid[])
     AND p.reltablespace <> 0 AND c.reltablespace <> p.reltablespace
  UNION ALL
  SELECT c.parent, c.oid, c.relnamespace, c.relname,
         'publications', NULL, NULL, b.pubname::text, true, CASE WHEN s.whole THEN a.statement END
    FROM child c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN published s ON s.parent = c.parent
    JOIN pg_catalog.pg_publication b ON b.oid = s.prpubid
   CROSS JOIN LATERAL (
     SELECT 'ALTER PUBLICATION ' || pg_catalog.quote_ident(b.pubname) || ' ADD TABLE ONLY '
            || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
     ) AS a (statement)
   WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel r
                      WHERE r.prpubid = s.prpubid AND r.prrelid = c.oid)
  UNION ALL
  SELECT c.parent, c.oid, c.relnamespace, c.relname,
         'row_security_policies', coalesce(own.n, 0)::text, coalesce(theirs.n, 0)::text, NULL, false,
         NULL
    FROM child c
    LEFT JOIN policed own ON own.polrelid = c.oid
    LEFT JOIN policed theirs ON theirs.polrelid = c.parent
   WHERE coalesce(own.n, 0) <> coalesce(theirs.n, 0)
  UNION ALL
  SELECT x.indrelid AS parent, k.oid, k.relnamespace, k.relname,
         'index_invalid', NULL, NULL, NULL, false, NULL
    FROM pg_catalog.pg_index x
    JOIN pg_catalog.pg_class k ON k.oid = x.indexrelid
   WHERE x.indrelid = ANY (%(parents)s::oid[]) AND NOT x.indisvalid
)
SELECT o.parent, n.nspname::text AS schema, o.relname::text AS name, o.reason, o.found, o.wanted,
       o.about, o.warns, o.statement
FROM odd o
JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
ORDER BY o.oid DESC, o.reason, o.about
LIMIT %(most)s
