CREATE ROLE app_owner;
GRANT app_owner TO CURRENT_USER;
GRANT USAGE, CREATE ON SCHEMA public TO app_owner;
DO $$
DECLARE
  change text;
BEGIN
  FOR change IN
    SELECT format('ALTER %s %s OWNER TO app_owner', o.kind, o.name)
    FROM (
      SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                            WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END,
        c.oid::regclass::text, c.relnamespace, c.relowner, 'pg_class'::regclass, c.oid
      FROM pg_class AS c
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
      UNION ALL
      SELECT 'ROUTINE', p.oid::regprocedure::text, p.pronamespace, p.proowner,
        'pg_proc'::regclass, p.oid
      FROM pg_proc AS p
      UNION ALL
      SELECT CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, t.oid::regtype::text,
        t.typnamespace, t.typowner, 'pg_type'::regclass, t.oid
      FROM pg_type AS t
      WHERE t.typtype IN ('e', 'd')
    ) AS o (kind, name, schema, owner, catalog, oid)
    WHERE o.schema = 'public'::regnamespace AND o.owner = (SELECT oid FROM pg_roles WHERE rolname = CURRENT_USER)
      -- neither parts of an extension nor sequences of columns, which follow their table
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = o.catalog AND d.objid = o.oid
                      AND (d.deptype = 'e' OR d.deptype IN ('a', 'i') AND o.kind = 'SEQUENCE'))
  LOOP
    PERFORM set_config('lock_timeout', '2s', true);
    EXECUTE change;
    COMMIT;
  END LOOP;
END
$$;
