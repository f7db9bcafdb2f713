-- list_trees: the given tables that are subpartitioned, and all tables below them
-- since: 15
-- params: roots oid[]
-- columns: root oid, parent oid, oid oid, schema text, name text, kind text, detach_pending bool, bound text, pages int4, rows float4, partition_by text, identity jsonb, tablespace text, access_method text, options jsonb, settings jsonb, publications jsonb, policies jsonb, comment text, columns_described bool, n_statistics int8
-- locks: none
-- source: PostgreSQL manual, 53.22 pg_inherits, 53.11 pg_class, 53.38 pg_policy, 53.19 pg_description
-- Parents come before their children. A table locked in ACCESS EXCLUSIVE mode has a null bound, as in
-- list_partitions; while any table is so locked, so has a table whose policies read other tables,
-- because reading them might wait. Publications are those that we may alter and that publish all
-- rows and columns.
WITH RECURSIVE tree AS (
  SELECT r.oid AS root, i.inhparent AS parent, r.oid, coalesce(i.inhdetachpending, false) AS pending,
         0 AS depth
    FROM pg_catalog.unnest(%(roots)s::oid[]) AS r (oid)
    LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = r.oid
  UNION ALL
  SELECT t.root, t.oid, i.inhrelid, i.inhdetachpending, t.depth + 1
    FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
), locked AS MATERIALIZED (
  SELECT l.relation
    FROM pg_catalog.pg_locks l
   WHERE l.locktype = 'relation'
     AND l.mode = 'AccessExclusiveLock'
     AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                        WHERE d.datname = pg_catalog.current_database())
), policy AS MATERIALIZED (
  SELECT p.polrelid, p.polname, p.polqual, p.polwithcheck,
         CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END AS kind,
         CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                       WHEN 'd' THEN 'DELETE' ELSE 'ALL' END AS command,
         CASE WHEN 0 = ANY (p.polroles) THEN 'PUBLIC'
              ELSE (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(r.rolname), ', '
                                                 ORDER BY r.rolname)
                      FROM pg_catalog.pg_roles r WHERE r.oid = ANY (p.polroles)) END AS roles
    FROM tree t JOIN pg_catalog.pg_policy p ON p.polrelid = t.oid
), unreadable AS MATERIALIZED (
  SELECT l.relation AS oid FROM locked l
   UNION
  SELECT p.polrelid FROM policy p
   WHERE EXISTS (SELECT FROM locked)
     AND pg_catalog.strpos(pg_catalog.concat(p.polqual, p.polwithcheck), 'SUBLINK') > 0
)
SELECT
  t.root,
  t.parent,
  t.oid,
  n.nspname::text AS schema,
  c.relname::text AS name,
  c.relkind::text AS kind,
  t.pending AS detach_pending,
  CASE WHEN c.oid NOT IN (SELECT u.oid FROM unreadable u)
       THEN pg_catalog.pg_get_expr(c.relpartbound, 0) END AS bound,
  c.relpages AS pages,
  c.reltuples AS rows,
  CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END AS partition_by,
  (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY a.attname)
     FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attidentity <> '') AS identity,
  (SELECT s.spcname::text FROM pg_catalog.pg_tablespace s WHERE s.oid = c.reltablespace) AS tablespace,
  CASE WHEN c.relkind = 'r'
       THEN (SELECT m.amname::text FROM pg_catalog.pg_am m WHERE m.oid = c.relam) END AS access_method,
  (SELECT pg_catalog.jsonb_agg(o.option ORDER BY o.option)
     FROM (SELECT pg_catalog.unnest(c.reloptions) AS option
           UNION ALL
           SELECT 'toast.' || pg_catalog.unnest(b.reloptions)) o) AS options,
  (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(a.attname, s.key, s.value)
                               ORDER BY a.attname, s.key)
     FROM pg_catalog.pg_attribute a
    CROSS JOIN LATERAL (
      SELECT 'statistics' AS key, a.attstattarget::text AS value
       WHERE coalesce(a.attstattarget, -1) >= 0
      UNION ALL
      SELECT 'n_distinct', pg_catalog.split_part(o, '=', 2)
        FROM pg_catalog.unnest(a.attoptions) o WHERE pg_catalog.starts_with(o, 'n_distinct=')
    ) s
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS settings,
  (SELECT pg_catalog.jsonb_agg(p.pubname ORDER BY p.pubname)
     FROM pg_catalog.pg_publication_rel r
     JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
    WHERE r.prrelid = c.oid
      AND pg_catalog.pg_has_role(p.pubowner, 'USAGE')
      AND pg_catalog.to_jsonb(r) ->> 'prqual' IS NULL
      AND pg_catalog.to_jsonb(r) ->> 'prattrs' IS NULL) AS publications,
  (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(p.polname, pg_catalog.concat(
            'AS ', p.kind, ' FOR ', p.command, ' TO ', p.roles,
            ' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
            ' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')'))
            ORDER BY p.polname)
     FROM policy p
    WHERE p.polrelid = c.oid AND c.oid NOT IN (SELECT u.oid FROM unreadable u)) AS policies,
  (SELECT d.description FROM pg_catalog.pg_description d
    WHERE d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND d.objsubid = 0
      -- a mark of ours is about one table, see ddl/marks.py
      AND d.description !~ '(^|\n)maintenance: \{') AS comment,
  EXISTS (SELECT FROM pg_catalog.pg_description d
           WHERE d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
             AND d.objsubid > 0) AS columns_described,
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_statistic_ext e WHERE e.stxrelid = c.oid) AS n_statistics
FROM tree t
JOIN pg_catalog.pg_class c ON c.oid = t.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class b ON b.oid = c.reltoastrelid
ORDER BY t.root, t.depth, t.oid
