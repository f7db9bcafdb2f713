-- list_tables: one row for each of the named relations that exists
-- since: 15
-- params: schemas text[], names text[] (pairs)
-- columns: oid oid, schema text, name text, kind text, owner text, manageable bool, lends bool, owner_creates bool, creatable bool, columns jsonb, key_strategy text, key_columns jsonb, replica_identity text, row_security bool, force_row_security bool, secured bool, tablespace text, access_method text, targets jsonb, grants jsonb, column_grants jsonb, owner_lacks jsonb, default_grantees jsonb, foreign_keys jsonb, referenced_by jsonb, default_checks jsonb, default_secured bool, default_readable bool
-- locks: none
-- source: PostgreSQL manual, 53 System Catalogs
-- Foreign keys are read once for all tables: pg_constraint has no index on the referenced table.
WITH keys AS MATERIALIZED (
  SELECT f.conrelid, f.confrelid
    FROM pg_catalog.pg_constraint f
   WHERE f.contype = 'f' AND f.conparentid = 0
)
SELECT
  c.oid,
  n.nspname::text AS schema,
  c.relname::text AS name,
  c.relkind::text AS kind,
  pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
  -- from 16 on a member may be kept from SET ROLE
  (pg_catalog.pg_has_role(c.relowner, 'USAGE')
   AND pg_catalog.pg_has_role(c.relowner, CASE WHEN pg_catalog.current_setting('server_version_num')::int4
                                                    >= 160000 THEN 'SET' ELSE 'MEMBER' END)) AS manageable,
  -- what runs with the owner's rights runs in a temporary function of that role
  (pg_catalog.pg_get_userbyid(c.relowner) = session_user
   OR pg_catalog.has_database_privilege(c.relowner, pg_catalog.current_database(), 'TEMPORARY')) AS lends,
  (pg_catalog.has_schema_privilege(c.relowner, n.oid, 'CREATE')
   AND pg_catalog.has_schema_privilege(c.relowner, n.oid, 'USAGE')) AS owner_creates,
  -- partitions are made by the owner, and looked at by us; a superuser may make some all the same
  (pg_catalog.has_schema_privilege(n.oid, 'USAGE')
   AND (pg_catalog.has_schema_privilege(c.relowner, n.oid, 'CREATE')
        AND pg_catalog.has_schema_privilege(c.relowner, n.oid, 'USAGE')
        OR (SELECT u.rolsuper FROM pg_catalog.pg_roles u WHERE u.rolname = current_user))) AS creatable,
  (SELECT pg_catalog.jsonb_agg(
            pg_catalog.jsonb_build_array(a.attname, pg_catalog.format_type(a.atttypid, NULL))
            ORDER BY a.attnum)
     FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
  p.partstrat::text AS key_strategy,
  -- a key that is an expression has attribute number 0 and shows as null
  (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY k.place)
     FROM pg_catalog.unnest(p.partattrs::int2[]) WITH ORDINALITY AS k (attnum, place)
     LEFT JOIN pg_catalog.pg_attribute a
            ON a.attrelid = c.oid AND a.attnum = k.attnum AND k.attnum <> 0) AS key_columns,
  c.relreplident::text AS replica_identity,
  c.relrowsecurity AS row_security,
  c.relforcerowsecurity AS force_row_security,
  c.relrowsecurity AND pg_catalog.row_security_active(c.oid) AS secured,
  (SELECT t.spcname::text FROM pg_catalog.pg_tablespace t WHERE t.oid = c.reltablespace) AS tablespace,
  -- from 17 on a partitioned table has one too, for partitions to come
  (SELECT m.amname::text FROM pg_catalog.pg_am m WHERE m.oid = c.relam) AS access_method,
  (SELECT pg_catalog.jsonb_agg(
            pg_catalog.jsonb_build_array(a.attname, 'statistics', a.attstattarget::text)
            ORDER BY a.attname)
     FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND coalesce(a.attstattarget, -1) >= 0) AS targets,
  (SELECT pg_catalog.jsonb_agg(
            pg_catalog.jsonb_build_array(r.rolname, g.privilege_type, g.is_grantable)
            ORDER BY r.rolname, g.privilege_type)
     FROM pg_catalog.aclexplode(c.relacl) g
     LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee
    WHERE g.grantee <> c.relowner) AS grants,
  (SELECT pg_catalog.jsonb_agg(
            pg_catalog.jsonb_build_array(r.rolname, g.privilege_type, g.is_grantable, a.attname)
            ORDER BY r.rolname, g.privilege_type, a.attname)
     FROM pg_catalog.pg_attribute a
    CROSS JOIN LATERAL pg_catalog.aclexplode(a.attacl) g
     LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS column_grants,
  (SELECT pg_catalog.jsonb_agg(d.privilege_type ORDER BY d.privilege_type)
     FROM pg_catalog.aclexplode(pg_catalog.acldefault('r', c.relowner)) d
    WHERE c.relacl IS NOT NULL
      AND d.grantee = c.relowner
      AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(c.relacl) g
                       WHERE g.grantee = c.relowner AND g.privilege_type = d.privilege_type)
  ) AS owner_lacks,
  -- what ALTER DEFAULT PRIVILEGES would add to a table that we or the owner create in this schema
  (SELECT pg_catalog.jsonb_agg(DISTINCT r.rolname)
     FROM pg_catalog.pg_default_acl d
    CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) g
     LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee
    WHERE d.defaclobjtype = 'r'
      AND d.defaclrole IN (c.relowner, (SELECT u.oid FROM pg_catalog.pg_roles u WHERE u.rolname = current_user))
      AND d.defaclnamespace IN (0, n.oid)
      AND g.grantee NOT IN (d.defaclrole, c.relowner)) AS default_grantees,
  -- both directions: ATTACH locks the tables this one points to and those that point to it
  (SELECT pg_catalog.jsonb_agg(DISTINCT pg_catalog.jsonb_build_array(fn.nspname, fc.relname))
     FROM keys f
     JOIN pg_catalog.pg_class fc
       ON fc.oid = CASE WHEN f.conrelid = c.oid THEN f.confrelid ELSE f.conrelid END
     JOIN pg_catalog.pg_namespace fn ON fn.oid = fc.relnamespace
    WHERE fc.oid <> c.oid
      AND (f.conrelid = c.oid OR f.confrelid = c.oid)) AS foreign_keys,
  (SELECT pg_catalog.jsonb_agg(DISTINCT pg_catalog.jsonb_build_array(fn.nspname, fc.relname))
     FROM keys f
     JOIN pg_catalog.pg_class fc ON fc.oid = f.conrelid
     JOIN pg_catalog.pg_namespace fn ON fn.oid = fc.relnamespace
    WHERE f.confrelid = c.oid) AS referenced_by,
  -- on the default partition, left by a run that was killed: see partitions/checks.py
  (SELECT pg_catalog.jsonb_agg(k.conname ORDER BY k.conname)
     FROM pg_catalog.pg_constraint k
    WHERE k.conrelid = p.partdefid AND p.partdefid <> 0 AND k.contype = 'c'
      AND k.conname::text ~ '^maintenance_((not|only)_[0-9_]+|restored_bounds|restoring_away)$') AS default_checks,
  -- whether row security applies to us there, and whether we may read it at all
  pg_catalog.row_security_active(p.partdefid) AS default_secured,
  pg_catalog.has_any_column_privilege(p.partdefid, 'SELECT') AS default_readable
FROM ROWS FROM (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[])) AS w (schema, name)
JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid
