-- list_facts: the properties of a table, the objects on it, and the objects that depend on it
-- since: 15
-- params: relation oid
-- columns: kind text, name text, definition jsonb
-- locks: none; the text of views waits for an ACCESS EXCLUSIVE lock on what they read
-- source: PostgreSQL manual, 53 System Catalogs, 9.27 System Information Functions
-- An unpartitioned table and the partitioned one that replaces it have the same rows, except those
-- that conversion changes; helpers of a conversion have reserved names and are left out. What the
-- server knows and no row here describes is a row of kind `dependent`.
WITH t AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relkind, c.relpersistence, c.relreplident, c.relowner, c.relacl, c.reltype,
         c.relrowsecurity, c.relforcerowsecurity, c.reltablespace, c.reloptions, c.reltoastrelid,
         c.reloftype, c.relam, c.relispartition, c.relnamespace,
         pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS qualified
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.oid = %(relation)s
), index AS MATERIALIZED (
  SELECT x.*, i.relname, i.reltablespace
    FROM t
    JOIN pg_catalog.pg_index x ON x.indrelid = t.oid
    JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
), own_constraint AS MATERIALIZED (
  SELECT k.*, pg_catalog.to_jsonb(k) AS fields FROM t JOIN pg_catalog.pg_constraint k ON k.conrelid = t.oid
), partition AS MATERIALIZED (
  SELECT h.inhrelid AS oid
    FROM t JOIN pg_catalog.pg_inherits h ON h.inhparent = t.oid AND t.relkind = 'p'
), sequence AS MATERIALIZED (
  SELECT s.oid, s.relname, s.relacl, s.relowner, s.relpersistence, s.relnamespace, d.deptype::text AS deptype,
         d.refobjsubid
    FROM t
    JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i')
     AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = t.oid AND d.refobjsubid > 0
    JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'
), referenced AS MATERIALIZED (
  SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid AS class, t.oid, 'table' AS what FROM t
  UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.reltype, 'row type' FROM t
  UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, y.typarray, 'row type'
              FROM t JOIN pg_catalog.pg_type y ON y.oid = t.reltype
  UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, x.indexrelid, 'index' FROM index x
  UNION ALL SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid, 'constraint' FROM own_constraint k
  UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, s.oid, 'identity' FROM sequence s WHERE s.deptype = 'i'
), dependent AS MATERIALIZED (
  SELECT DISTINCT d.classid, d.objid, r.what, w.ev_class, v.relkind
    FROM referenced r
    JOIN pg_catalog.pg_depend d ON d.refclassid = r.class AND d.refobjid = r.oid
    LEFT JOIN pg_catalog.pg_rewrite w
           ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND w.oid = d.objid
    LEFT JOIN pg_catalog.pg_class v ON v.oid = w.ev_class
   CROSS JOIN t
   WHERE NOT CASE d.classid
     WHEN 'pg_catalog.pg_attrdef'::pg_catalog.regclass THEN
       EXISTS (SELECT FROM pg_catalog.pg_attrdef a WHERE a.oid = d.objid AND a.adrelid = t.oid)
     WHEN 'pg_catalog.pg_constraint'::pg_catalog.regclass THEN
       EXISTS (SELECT FROM pg_catalog.pg_constraint k
                WHERE k.oid = d.objid AND (t.oid IN (k.conrelid, k.confrelid)
                                           OR k.conrelid IN (SELECT p.oid FROM partition p)))
     WHEN 'pg_catalog.pg_trigger'::pg_catalog.regclass THEN
       EXISTS (SELECT FROM pg_catalog.pg_trigger g 
                WHERE g.oid = d.objid AND (g.tgrelid = t.oid OR g.tgisinternal
                                           OR g.tgrelid IN (SELECT p.oid FROM partition p)))
     WHEN 'pg_catalog.pg_policy'::pg_catalog.regclass THEN
       EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.oid = d.objid AND p.polrelid = t.oid)
     WHEN 'pg_catalog.pg_publication_rel'::pg_catalog.regclass THEN true
     WHEN 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass THEN
       EXISTS (SELECT FROM pg_catalog.pg_statistic_ext e WHERE e.oid = d.objid AND e.stxrelid = t.oid)
     WHEN 'pg_catalog.pg_type'::pg_catalog.regclass THEN
       EXISTS (SELECT FROM pg_catalog.pg_type y WHERE y.oid = t.reltype AND d.objid IN (y.oid, y.typarray))
     WHEN 'pg_catalog.pg_rewrite'::pg_catalog.regclass THEN w.ev_class = t.oid
     WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN
       -- its own key, if it is partitioned
       d.objid IN (SELECT t.oid UNION ALL SELECT x.indexrelid FROM index x UNION ALL SELECT s.oid FROM sequence s
                   UNION ALL SELECT t.reltoastrelid)
       OR EXISTS (SELECT FROM pg_catalog.pg_index x
                   WHERE x.indexrelid = d.objid AND x.indrelid IN (SELECT p.oid FROM partition p))
       -- parents and children of inheritance have rows of their own
       OR EXISTS (SELECT FROM pg_catalog.pg_inherits h
                   WHERE (h.inhrelid, h.inhparent) IN ((d.objid, t.oid), (t.oid, d.objid)))
     ELSE false END
), view AS MATERIALIZED (
  SELECT v.oid, v.relname, v.relkind, v.reloptions, v.relowner, v.relnamespace, n.nspname,
         pg_catalog.bool_and(d.what = 'table') AS plain
    FROM dependent d
    JOIN pg_catalog.pg_class v ON v.oid = d.ev_class AND v.relkind IN ('v', 'm')
    JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
   GROUP BY v.oid, v.relname, v.relkind, v.reloptions, v.relowner, v.relnamespace, n.nspname
)
SELECT 'table' AS kind, '' AS name, pg_catalog.jsonb_build_object(
         'owner', pg_catalog.pg_get_userbyid(t.relowner),
         'persistence', t.relpersistence, 'replica_identity', t.relreplident,
         'row_security', t.relrowsecurity, 'force_row_security', t.relforcerowsecurity,
         'tablespace', (SELECT s.spcname FROM pg_catalog.pg_tablespace s WHERE s.oid = t.reltablespace),
         'comment', pg_catalog.obj_description(t.oid, 'pg_class'),
         'of_type', t.reloftype <> 0,
         'grants', (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(
                             CASE g.grantee WHEN 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(g.grantee) END,
                             g.privilege_type, g.is_grantable)
                             ORDER BY g.grantee, g.privilege_type, g.is_grantable)
                      FROM (SELECT DISTINCT e.grantee, e.privilege_type, e.is_grantable
                              FROM pg_catalog.aclexplode(coalesce(t.relacl, pg_catalog.acldefault('r', t.relowner))) e) g)
       ) AS definition
  FROM t
UNION ALL
SELECT 'storage', '', pg_catalog.jsonb_build_object(
         'options', (SELECT pg_catalog.jsonb_agg(o) FROM pg_catalog.unnest(t.reloptions) o),
         'toast_options', (SELECT pg_catalog.jsonb_agg(o) FROM pg_catalog.pg_class s
                            CROSS JOIN pg_catalog.unnest(s.reloptions) o WHERE s.oid = t.reltoastrelid),
         'access_method', (SELECT m.amname FROM pg_catalog.pg_am m WHERE m.oid = t.relam))
  FROM t
UNION ALL
SELECT 'column', a.attname, pg_catalog.jsonb_build_object(
         'place', pg_catalog.row_number() OVER (ORDER BY a.attnum),
         'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
         'collation', a.attcollation::pg_catalog.regcollation,
         'not_null', a.attnotnull,
         'identity', a.attidentity, 'generated', a.attgenerated,
         'default', pg_catalog.pg_get_expr(d.adbin, d.adrelid),
         'storage', a.attstorage, 'compression', a.attcompression,
         'target', nullif(a.attstattarget, -1),
         'options', (SELECT pg_catalog.jsonb_agg(o ORDER BY o) FROM pg_catalog.unnest(a.attoptions) o
                      WHERE pg_catalog.starts_with(o, 'n_distinct')),
         'comment', pg_catalog.col_description(a.attrelid, a.attnum),
         'grants', (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(
                             CASE g.grantee WHEN 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(g.grantee) END,
                             g.privilege_type, g.is_grantable)
                             ORDER BY g.grantee, g.privilege_type, g.is_grantable)
                      FROM pg_catalog.aclexplode(a.attacl) g))
  FROM t
  JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
UNION ALL
SELECT 'constraint', k.conname, pg_catalog.jsonb_build_object(
         'type', k.contype,
         'text', pg_catalog.pg_get_constraintdef(k.oid),
         'valid', k.convalidated, 'deferrable', k.condeferrable, 'no_inherit', k.connoinherit AND k.contype = 'c',
         'enforced', coalesce(k.fields -> 'conenforced', 'true'::jsonb),
         'period', coalesce(k.fields -> 'conperiod', 'false'::jsonb),
         'columns', (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY c.place)
                       FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS c (number, place)
                       JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.number),
         'references', (SELECT pg_catalog.jsonb_build_array(n.nspname, f.relname)
                          FROM pg_catalog.pg_class f JOIN pg_catalog.pg_namespace n ON n.oid = f.relnamespace
                         WHERE f.oid = k.confrelid),
         'may_reference', k.confrelid = 0 OR pg_catalog.has_table_privilege(t.relowner, k.confrelid, 'REFERENCES'),
         'comment', pg_catalog.obj_description(k.oid, 'pg_constraint'))
  FROM own_constraint k CROSS JOIN t
 WHERE k.contype NOT IN ('n', 't') AND k.conparentid = 0
   AND NOT pg_catalog.starts_with(k.conname::text, 'maintenance_convert_')
UNION ALL
-- from 18 on: names are not kept, and only those that a partitioned table can't have matter
SELECT 'not null', k.conname, pg_catalog.jsonb_build_object('valid', k.convalidated, 'no_inherit', k.connoinherit)
  FROM own_constraint k
 WHERE k.contype = 'n' AND (k.connoinherit OR NOT k.convalidated)
UNION ALL
SELECT 'index', x.relname, pg_catalog.jsonb_build_object(
         'text', pg_catalog.regexp_replace(pg_catalog.pg_get_indexdef(x.indexrelid), ' ON ONLY ', ' ON '),
         'unique', x.indisunique, 'primary', x.indisprimary, 'valid', x.indisvalid AND x.indisready AND x.indislive,
         'replica_identity', x.indisreplident, 'clustered', x.indisclustered,
         'columns', (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY c.place)
                       FROM pg_catalog.unnest(x.indkey::int2[]) WITH ORDINALITY AS c (number, place)
                       LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = c.number
                        AND c.number <> 0
                      WHERE c.place <= x.indnkeyatts),
         'constraint', (SELECT k.conname FROM own_constraint k
                         WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x')),
         'tablespace', (SELECT s.spcname FROM pg_catalog.pg_tablespace s WHERE s.oid = x.reltablespace),
         'targets', (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a
                      WHERE a.attrelid = x.indexrelid AND a.attstattarget >= 0),
         'comment', pg_catalog.obj_description(x.indexrelid, 'pg_class'))
  FROM index x
 WHERE NOT pg_catalog.starts_with(x.relname::text, 'maintenance_convert_')
UNION ALL
SELECT 'trigger', g.tgname, pg_catalog.jsonb_build_object(
         'text', pg_catalog.pg_get_triggerdef(g.oid), 'enabled', g.tgenabled,
         'row', g.tgtype & 1 = 1, 'before', g.tgtype & 2 = 2,
         'constraint', g.tgconstraint <> 0,
         'transition', g.tgnewtable IS NOT NULL OR g.tgoldtable IS NOT NULL,
         'language', l.lanname, 'builtin', p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace,
         'source', p.prosrc,
         'executable', pg_catalog.has_function_privilege(t.relowner, p.oid, 'EXECUTE'),
         'comment', pg_catalog.obj_description(g.oid, 'pg_trigger'))
  FROM t
  JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal AND g.tgparentid = 0
  JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
UNION ALL
SELECT 'rule', r.rulename, pg_catalog.jsonb_build_object('text', pg_catalog.pg_get_ruledef(r.oid))
  FROM t JOIN pg_catalog.pg_rewrite r ON r.ev_class = t.oid
UNION ALL
SELECT 'policy', p.polname, pg_catalog.jsonb_build_object('text', pg_catalog.concat(
         'AS ', CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
         ' FOR ', CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                                WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
         ' TO ', CASE WHEN 0 = ANY (p.polroles) THEN 'PUBLIC'
                      ELSE (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(r.rolname), ', ' ORDER BY r.rolname)
                              FROM pg_catalog.pg_roles r WHERE r.oid = ANY (p.polroles)) END,
         ' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
         ' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')'),
         'comment', pg_catalog.obj_description(p.oid, 'pg_policy'))
  FROM t JOIN pg_catalog.pg_policy p ON p.polrelid = t.oid
UNION ALL
SELECT 'publication', p.pubname, pg_catalog.jsonb_build_object(
         'scope', s.scope,
         'columns', (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY a.attname)
                       FROM pg_catalog.pg_attribute a
                      WHERE a.attrelid = s.relation AND a.attnum = ANY (s.attributes::int2[])),
         'where', pg_catalog.pg_get_expr(s.condition, s.relation),
         'via_root', p.pubviaroot, 'usable', pg_catalog.pg_has_role(p.pubowner, 'USAGE'))
  FROM t
  CROSS JOIN LATERAL (
    SELECT r.prpubid AS publication, 'table' AS scope, r.prrelid AS relation, r.prattrs AS attributes,
           r.prqual AS condition
      FROM pg_catalog.pg_publication_rel r WHERE r.prrelid = t.oid
    UNION ALL
    SELECT n.pnpubid, 'schema', NULL, NULL, NULL
      FROM pg_catalog.pg_publication_namespace n WHERE n.pnnspid = t.relnamespace
    UNION ALL
    SELECT a.oid, 'all', NULL, NULL, NULL FROM pg_catalog.pg_publication a WHERE a.puballtables
  ) s
  JOIN pg_catalog.pg_publication p ON p.oid = s.publication
UNION ALL
SELECT 'statistics', pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(e.stxname),
       pg_catalog.jsonb_build_object(
         'schema', n.nspname, 'name', e.stxname,
         'text', pg_catalog.pg_get_statisticsobjdef(e.oid),
         'target', nullif(pg_catalog.to_jsonb(e) ->> 'stxstattarget', '-1'),
         'owner', pg_catalog.pg_get_userbyid(e.stxowner),
         'comment', pg_catalog.obj_description(e.oid, 'pg_statistic_ext'))
  FROM t
  JOIN pg_catalog.pg_statistic_ext e ON e.stxrelid = t.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = e.stxnamespace
UNION ALL
SELECT 'sequence', pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(s.relname),
       pg_catalog.jsonb_build_object(
         'schema', n.nspname, 'name', s.relname, 'dependency', s.deptype,
         'column', (SELECT a.attname FROM t JOIN pg_catalog.pg_attribute a
                        ON a.attrelid = t.oid AND a.attnum = s.refobjsubid),
         'type', pg_catalog.format_type(q.seqtypid, NULL), 'start', q.seqstart, 'increment', q.seqincrement,
         'max', q.seqmax, 'min', q.seqmin, 'cache', q.seqcache, 'cycle', q.seqcycle,
         'persistence', s.relpersistence, 'owner', pg_catalog.pg_get_userbyid(s.relowner),
         'comment', pg_catalog.obj_description(s.oid, 'pg_class'),
         'grants', (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(
                             CASE g.grantee WHEN 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(g.grantee) END,
                             g.privilege_type, g.is_grantable)
                             ORDER BY g.grantee, g.privilege_type, g.is_grantable)
                      FROM pg_catalog.aclexplode(coalesce(s.relacl, pg_catalog.acldefault('s', s.relowner))) g))
  FROM sequence s
  JOIN pg_catalog.pg_sequence q ON q.seqrelid = s.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
UNION ALL
SELECT CASE v.relkind WHEN 'v' THEN 'view' ELSE 'matview' END,
       pg_catalog.quote_ident(v.nspname) || '.' || pg_catalog.quote_ident(v.relname),
       pg_catalog.jsonb_build_object(
         'text', pg_catalog.pg_get_viewdef(v.oid),
         'options', (SELECT pg_catalog.jsonb_agg(o) FROM pg_catalog.unnest(v.reloptions) o),
         'owner', pg_catalog.pg_get_userbyid(v.relowner),
         'plain', v.plain,
         'creatable', pg_catalog.has_schema_privilege(v.relnamespace, 'CREATE')
                      AND pg_catalog.has_schema_privilege(v.relowner, v.relnamespace, 'CREATE'),
         'whole_row', EXISTS (SELECT FROM pg_catalog.pg_attribute a CROSS JOIN t
                               WHERE a.attrelid = v.oid AND a.attnum > 0 AND NOT a.attisdropped
                                 AND a.atttypid IN (SELECT r.oid FROM referenced r WHERE r.what = 'row type')))
  FROM view v
UNION ALL
SELECT 'dependent', pg_catalog.pg_describe_object(d.classid, d.objid, 0), pg_catalog.jsonb_build_object(
         'on', pg_catalog.string_agg(d.what, ', ' ORDER BY d.what),
         'relkind', pg_catalog.min(d.relkind::text))
  FROM dependent d
 WHERE coalesce(d.relkind, 'r') NOT IN ('v', 'm')
   -- a view with a column of the row type
   AND NOT (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid IN (SELECT v.oid FROM view v))
 GROUP BY d.classid, d.objid
UNION ALL
-- foreign keys of other tables
SELECT 'reference', pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) || ' '
         || pg_catalog.quote_ident(k.conname),
       pg_catalog.jsonb_build_object(
         'schema', n.nspname, 'table', c.relname, 'constraint', k.conname, 'relkind', c.relkind,
         'owner', pg_catalog.pg_get_userbyid(c.relowner),
         'text', pg_catalog.pg_get_constraintdef(k.oid),
         'columns', (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY f.place)
                       FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS f (number, place)
                       JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = f.number),
         'referenced', (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY f.place)
                          FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS f (number, place)
                          JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = f.number),
         'on_update', k.confupdtype, 'on_delete', k.confdeltype, 'match', k.confmatchtype,
         'deletes_some', k.confdelsetcols IS NOT NULL,
         'valid', k.convalidated,
         'enforced', coalesce(pg_catalog.to_jsonb(k) -> 'conenforced', 'true'::jsonb),
         'period', coalesce(pg_catalog.to_jsonb(k) -> 'conperiod', 'false'::jsonb),
         'comment', pg_catalog.obj_description(k.oid, 'pg_constraint'))
  FROM t
  JOIN pg_catalog.pg_constraint k ON k.confrelid = t.oid AND k.contype = 'f' AND k.conparentid = 0
   AND k.conrelid <> t.oid
  JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
UNION ALL
-- what is around them, which may change; `reader` can read both tables
SELECT 'referencing', pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) || ' '
         || pg_catalog.quote_ident(k.conname),
       pg_catalog.jsonb_build_object(
         'disabled', EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgconstraint = k.oid AND g.tgenabled <> 'O'),
         'usable', pg_catalog.pg_has_role(c.relowner, 'USAGE') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                   AND pg_catalog.pg_has_role(c.relowner, CASE WHEN pg_catalog.current_setting('server_version_num')::int4
                                                                    >= 160000 THEN 'SET' ELSE 'MEMBER' END),
         'lends', pg_catalog.pg_get_userbyid(c.relowner) = session_user
                  OR pg_catalog.has_database_privilege(c.relowner, pg_catalog.current_database(), 'TEMPORARY'),
         'may_reference', pg_catalog.has_table_privilege(t.relowner, t.oid, 'REFERENCES'),
         'reader', CASE
           WHEN c.relowner = t.relowner
             OR pg_catalog.has_table_privilege(c.relowner, t.oid, 'SELECT')
                AND pg_catalog.has_schema_privilege(c.relowner, t.relnamespace, 'USAGE')
           THEN pg_catalog.pg_get_userbyid(c.relowner)
           WHEN pg_catalog.has_table_privilege(t.relowner, c.oid, 'SELECT')
                AND pg_catalog.has_schema_privilege(t.relowner, n.oid, 'USAGE')
           THEN pg_catalog.pg_get_userbyid(t.relowner) END,
         'others', (SELECT pg_catalog.jsonb_object_agg(a.attname, pg_catalog.jsonb_build_array(
                             pg_catalog.format_type(a.atttypid, NULL), a.attnotnull))
                      FROM pg_catalog.pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
         'checks', (SELECT pg_catalog.jsonb_agg(pg_catalog.pg_get_constraintdef(h.oid) ORDER BY h.conname)
                      FROM pg_catalog.pg_constraint h
                     WHERE h.conrelid = c.oid AND h.contype = 'c' AND h.convalidated
                       AND coalesce(pg_catalog.to_jsonb(h) ->> 'conenforced', 'true') = 'true'))
  FROM t
  JOIN pg_catalog.pg_constraint k ON k.confrelid = t.oid AND k.contype = 'f' AND k.conparentid = 0
   AND k.conrelid <> t.oid
  JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
UNION ALL
SELECT 'inheritance', pg_catalog.format('%%s of %%s', h.inhrelid::pg_catalog.regclass, h.inhparent::pg_catalog.regclass),
       '{}'
  FROM t JOIN pg_catalog.pg_inherits h ON t.oid IN (h.inhrelid, h.inhparent)
 WHERE t.relkind = 'r'
UNION ALL
SELECT 'subscription', s.srsubid::text, '{}'
  FROM t JOIN pg_catalog.pg_subscription_rel s ON s.srrelid = t.oid
UNION ALL
SELECT 'extension', e.extname, '{}'
  FROM t
  JOIN pg_catalog.pg_depend d
    ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = t.oid AND d.objsubid = 0
   AND d.deptype IN ('e', 'x')
  JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
UNION ALL
SELECT 'security label', l.provider, pg_catalog.jsonb_build_object('label', l.label, 'column', l.objsubid)
  FROM t
  JOIN pg_catalog.pg_seclabel l
    ON l.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND l.objoid = t.oid
