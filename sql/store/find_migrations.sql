-- find_migrations: whether any migration was applied, and whether this role may read them
-- since: 15
-- params:
-- columns: is_there bool, may_read bool
-- locks: none
-- source: PostgreSQL manual, 9.27 System Information Functions
-- The catalog is asked, because a name in a schema without USAGE is refused.
SELECT
  c.oid IS NOT NULL AS is_there,
  coalesce(pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')
           AND pg_catalog.has_table_privilege(c.oid, 'SELECT'), false) AS may_read
FROM (SELECT) AS one
LEFT JOIN (pg_catalog.pg_class AS c
           JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                                            AND n.nspname = 'maintenance')
  ON c.relname = 'migration'
