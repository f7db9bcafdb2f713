-- list_own_objects: objects of the given tables not inherited from the table at the top, and those of the top itself
-- since: 15
-- params: tops oid[], relations oid[] (pairs)
-- columns: relation oid, kind text, name text, parts jsonb, state text, obstacle text, referenced jsonb
-- locks: none
-- source: PostgreSQL manual, 53 System Catalogs, 9.27 System Information Functions
-- Parts are the parts of a definition without its own name and that of the table, so that two
-- tables have the same object if the parts are equal. The owner creates them, so the owner's rights
-- are checked. A table locked in ACCESS EXCLUSIVE mode is left out; while any table is so locked, a
-- table whose rules or policies may read others is too, because reading them might wait.
-- Every table that was read has a row of kind `table`.
WITH locked AS MATERIALIZED (
  SELECT l.relation
    FROM pg_catalog.pg_locks l
   WHERE l.locktype = 'relation'
     AND l.mode = 'AccessExclusiveLock'
     AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                        WHERE d.datname = pg_catalog.current_database())
), wanted AS MATERIALIZED (
  SELECT w.top, w.relation, c.relkind, c.relpersistence, c.relreplident, c.reltablespace,
         c.relrowsecurity, c.relforcerowsecurity, c.relname, t.relowner AS owner,
         pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(t.relowner)) AS owner_name,
         pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS qualified
    FROM ROWS FROM (pg_catalog.unnest(%(tops)s::oid[]), pg_catalog.unnest(%(relations)s::oid[])) AS w (top, relation)
    JOIN pg_catalog.pg_class c ON c.oid = w.relation
    JOIN pg_catalog.pg_class t ON t.oid = w.top
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.oid NOT IN (SELECT l.relation FROM locked l)
     AND NOT (EXISTS (SELECT FROM locked)
              AND (EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid)
                   OR EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid
                                 AND pg_catalog.strpos(pg_catalog.concat(p.polqual, p.polwithcheck), 'SUBLINK') > 0)))
), own_index AS MATERIALIZED (
  SELECT w.relation, w.qualified, w.relkind, x.indexrelid, x.indisunique, x.indisreplident, i.relname,
         w.owner_name, s.spcname, pg_catalog.has_tablespace_privilege(w.owner, s.oid, 'CREATE') AS allowed,
         pg_catalog.pg_get_indexdef(x.indexrelid) AS definition,
         'CREATE ' || CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX '
           || pg_catalog.quote_ident(i.relname) || ' ON '
           || CASE WHEN w.relkind = 'p' THEN 'ONLY ' ELSE '' END || w.qualified AS prefix,
         k.oid AS constraint
    FROM wanted w
    JOIN pg_catalog.pg_index x ON x.indrelid = w.relation
    JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = i.reltablespace
    LEFT JOIN pg_catalog.pg_constraint k
           ON k.conindid = x.indexrelid AND k.conrelid = w.relation AND k.contype IN ('p', 'u', 'x')
   WHERE x.indisvalid AND x.indislive AND w.relation <> w.top
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = x.indexrelid)
), own_trigger AS MATERIALIZED (
  SELECT w.relation, w.owner, w.owner_name, t.tgname, t.tgenabled::text AS enabled, t.tgfoid,
         'CREATE ' || CASE WHEN t.tgconstraint <> 0 THEN 'CONSTRAINT ' ELSE '' END || 'TRIGGER' AS create,
         pg_catalog.substr(d.text, pg_catalog.strpos(d.text, 'TRIGGER ')
           + pg_catalog.length('TRIGGER ' || pg_catalog.quote_ident(t.tgname) || ' ')) AS rest,
         ' ON ' || w.qualified || ' ' AS joint
    FROM wanted w
    JOIN pg_catalog.pg_trigger t ON t.tgrelid = w.relation
   CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_triggerdef(t.oid) AS text) d
   WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND w.relation <> w.top
     -- of a drain of ours, see partitions/drain/objects.py
     AND NOT pg_catalog.starts_with(t.tgname::text, 'maintenance_')
), own_rule AS MATERIALIZED (
  SELECT w.relation, r.rulename, r.ev_enabled::text AS enabled,
         pg_catalog.substr(d.text, pg_catalog.length(
           'CREATE RULE ' || pg_catalog.quote_ident(r.rulename) || ' AS') + 1) AS rest,
         ' TO ' || w.qualified AS joint
    FROM wanted w
    JOIN pg_catalog.pg_rewrite r ON r.ev_class = w.relation
   CROSS JOIN LATERAL (SELECT pg_catalog.rtrim(pg_catalog.pg_get_ruledef(r.oid), ';') AS text) d
   WHERE r.rulename <> '_RETURN' AND w.relation <> w.top
), attribute AS MATERIALIZED (
  SELECT w.relation, a.attname, a.attnotnull, a.attnum, a.attgenerated,
         a.attstorage, a.attcompression, t.attnotnull AS top_notnull, t.attstorage AS top_storage,
         t.attcompression AS top_compression
    FROM wanted w
    JOIN pg_catalog.pg_attribute a ON a.attrelid = w.relation
    JOIN pg_catalog.pg_attribute t ON t.attrelid = w.top AND t.attname = a.attname
   WHERE a.attnum > 0 AND NOT a.attisdropped AND NOT t.attisdropped
)
SELECT w.relation, 'table' AS kind, NULL::text AS name, NULL::jsonb AS parts,
       CASE WHEN w.relkind = 'r' AND pg_catalog.pg_relation_size(w.relation) = 0 THEN 'empty' END AS state,
       NULL::text AS obstacle, NULL::jsonb AS referenced
  FROM wanted w
UNION ALL
SELECT x.relation, 'index', x.relname,
       pg_catalog.jsonb_build_array(
         CASE WHEN x.indisunique THEN 'CREATE UNIQUE INDEX' ELSE 'CREATE INDEX' END,
         pg_catalog.substr(x.definition, pg_catalog.length(x.prefix) + 2)),
       x.spcname,
       CASE WHEN NOT pg_catalog.starts_with(x.definition, x.prefix) THEN 'its definition could not be taken apart'
            WHEN NOT x.allowed THEN 'GRANT CREATE ON TABLESPACE ' || pg_catalog.quote_ident(x.spcname)
              || ' TO ' || x.owner_name END,
       NULL
  FROM own_index x WHERE x.constraint IS NULL
UNION ALL
SELECT x.relation, 'constraint', k.conname,
       pg_catalog.jsonb_build_array(pg_catalog.pg_get_constraintdef(k.oid)), x.spcname,
       CASE WHEN NOT x.allowed THEN 'GRANT CREATE ON TABLESPACE ' || pg_catalog.quote_ident(x.spcname)
              || ' TO ' || x.owner_name END,
       NULL
  FROM own_index x JOIN pg_catalog.pg_constraint k ON k.oid = x.constraint
UNION ALL
SELECT w.relation, 'check', k.conname,
       pg_catalog.jsonb_build_array(
         pg_catalog.regexp_replace(pg_catalog.pg_get_constraintdef(k.oid), ' NOT VALID$', '')),
       (SELECT pg_catalog.string_agg(a.attname, pg_catalog.chr(1)) FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)),
       NULL, NULL
  FROM wanted w
  JOIN pg_catalog.pg_constraint k ON k.conrelid = w.relation
 WHERE k.contype = 'c' AND k.coninhcount = 0 AND w.relation <> w.top
   -- a helper of ours, see subjects/partitions/helper_checks.py
   AND NOT pg_catalog.starts_with(k.conname::text, 'maintenance_')
UNION ALL
SELECT w.relation, 'foreign key', k.conname,
       pg_catalog.jsonb_build_array(
         pg_catalog.regexp_replace(pg_catalog.pg_get_constraintdef(k.oid), ' NOT VALID$', '')),
       NULL,
       CASE WHEN NOT pg_catalog.has_table_privilege(w.owner, k.confrelid, 'REFERENCES')
            THEN 'GRANT REFERENCES ON ' || k.confrelid::pg_catalog.regclass::text || ' TO '
              || w.owner_name END,
       pg_catalog.jsonb_build_array(fn.nspname, f.relname)
  FROM wanted w
  JOIN pg_catalog.pg_constraint k ON k.conrelid = w.relation
  JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
  JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
 WHERE k.contype = 'f' AND k.conparentid = 0 AND w.relation <> w.top
UNION ALL
SELECT t.relation, 'trigger', t.tgname,
       pg_catalog.jsonb_build_array(t.create,
         pg_catalog.split_part(t.rest, t.joint, 1), pg_catalog.split_part(t.rest, t.joint, 2)),
       t.enabled,
       CASE WHEN pg_catalog.length(t.rest) - pg_catalog.length(pg_catalog.replace(t.rest, t.joint, ''))
                 <> pg_catalog.length(t.joint)
            THEN 'its definition could not be taken apart'
            WHEN NOT pg_catalog.has_function_privilege(t.owner, t.tgfoid, 'EXECUTE')
            THEN 'GRANT EXECUTE ON FUNCTION ' || t.tgfoid::pg_catalog.regprocedure::text || ' TO '
              || t.owner_name END,
       NULL
  FROM own_trigger t
UNION ALL
SELECT r.relation, 'rule', r.rulename,
       pg_catalog.jsonb_build_array(
         pg_catalog.substr(r.rest, 1, pg_catalog.strpos(r.rest, r.joint) - 1),
         pg_catalog.substr(r.rest, pg_catalog.strpos(r.rest, r.joint) + pg_catalog.length(r.joint))),
       r.enabled, NULL, NULL
  FROM own_rule r
UNION ALL
SELECT w.relation, 'policy', p.polname,
       pg_catalog.jsonb_build_array(pg_catalog.concat(
         'AS ', CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
         ' FOR ', CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                                WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
         ' TO ', CASE WHEN 0 = ANY (p.polroles) THEN 'PUBLIC'
                      ELSE (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(r.rolname), ', ' ORDER BY r.rolname)
                              FROM pg_catalog.pg_roles r WHERE r.oid = ANY (p.polroles)) END,
         ' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
         ' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')')),
       NULL, NULL, NULL
  FROM wanted w JOIN pg_catalog.pg_policy p ON p.polrelid = w.relation
UNION ALL
SELECT w.relation, 'publication', p.pubname,
       pg_catalog.jsonb_build_array(p.pubname, pg_catalog.concat(
         ' (' || (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attname)
                    FROM pg_catalog.pg_attribute a
                   WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs::int2[])) || ')',
         ' WHERE (' || pg_catalog.pg_get_expr(r.prqual, r.prrelid) || ')')),
       NULL,
       CASE WHEN NOT pg_catalog.pg_has_role(p.pubowner, 'USAGE')
            THEN 'the publication belongs to ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(p.pubowner)) END,
       NULL
  FROM wanted w
  JOIN pg_catalog.pg_publication_rel r ON r.prrelid = w.relation
  JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
 WHERE w.relation <> w.top
UNION ALL
SELECT a.relation, 'default', a.attname,
       pg_catalog.jsonb_build_array(a.attname, pg_catalog.pg_get_expr(d.adbin, d.adrelid)), NULL, NULL, NULL
  FROM attribute a
  JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.relation AND d.adnum = a.attnum
 WHERE a.attgenerated = ''
UNION ALL
SELECT a.relation, 'not null', a.attname, pg_catalog.jsonb_build_array(a.attname), NULL, NULL, NULL
  FROM attribute a WHERE a.attnotnull AND NOT a.top_notnull
UNION ALL
SELECT a.relation, 'storage', a.attname,
       pg_catalog.jsonb_build_array(a.attname, CASE a.attstorage
         WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END),
       NULL, NULL, NULL
  FROM attribute a WHERE a.attstorage <> a.top_storage
UNION ALL
SELECT a.relation, 'compression', a.attname,
       pg_catalog.jsonb_build_array(a.attname, CASE a.attcompression
         WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' ELSE 'default' END),
       NULL, NULL, NULL
  FROM attribute a WHERE a.attcompression <> a.top_compression
UNION ALL
SELECT w.relation, 'statistics', e.stxname,
       pg_catalog.jsonb_build_array(pg_catalog.left(
         pg_catalog.substr(d.text, pg_catalog.length('CREATE STATISTICS ' || pg_catalog.quote_ident(n.nspname)
           || '.' || pg_catalog.quote_ident(e.stxname)) + 1),
         -pg_catalog.length(' FROM ' || w.qualified))),
       nullif(pg_catalog.to_jsonb(e) ->> 'stxstattarget', '-1'), NULL, NULL
  FROM wanted w
  JOIN pg_catalog.pg_statistic_ext e ON e.stxrelid = w.relation
  JOIN pg_catalog.pg_namespace n ON n.oid = e.stxnamespace
 CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_statisticsobjdef(e.oid) AS text) d
UNION ALL
SELECT w.relation, 'replica identity', NULL,
       pg_catalog.jsonb_build_array(
         CASE w.relreplident WHEN 'n' THEN 'NOTHING' WHEN 'f' THEN 'FULL' WHEN 'i' THEN 'INDEX' ELSE 'DEFAULT' END,
         (SELECT pg_catalog.substr(x.definition, pg_catalog.length(x.prefix) + 2)
            FROM own_index x WHERE x.relation = w.relation AND x.indisreplident)),
       NULL, NULL, NULL
  FROM wanted w JOIN pg_catalog.pg_class p ON p.oid = w.top
 WHERE w.relreplident <> p.relreplident
UNION ALL
SELECT w.relation, 'unlogged', NULL, '[]', NULL, NULL, NULL
  FROM wanted w WHERE w.relpersistence = 'u' AND w.relation <> w.top
UNION ALL
SELECT w.relation, 'tablespace', NULL, pg_catalog.jsonb_build_array(s.spcname), NULL,
       CASE WHEN NOT pg_catalog.has_tablespace_privilege(s.oid, 'CREATE')
            THEN 'GRANT CREATE ON TABLESPACE ' || pg_catalog.quote_ident(s.spcname) || ' TO '
              || pg_catalog.quote_ident(current_user) END,
       NULL
  FROM wanted w
  JOIN pg_catalog.pg_class p ON p.oid = w.top
  JOIN pg_catalog.pg_tablespace s ON s.oid = w.reltablespace
 WHERE w.reltablespace <> p.reltablespace AND w.relkind = 'r'
UNION ALL
SELECT w.relation, 'row security', NULL,
       pg_catalog.jsonb_build_array(w.relrowsecurity, w.relforcerowsecurity), NULL, NULL, NULL
  FROM wanted w
  JOIN pg_catalog.pg_class p ON p.oid = w.top
 WHERE (w.relrowsecurity, w.relforcerowsecurity) <> (p.relrowsecurity, p.relforcerowsecurity)
