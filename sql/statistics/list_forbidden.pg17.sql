-- list_forbidden: those of the given tables, or of all, that this role may not analyze and vacuum
-- since: 17
-- params: relations oid[] (null for all)
-- columns: oid oid
-- locks: none
-- source: PostgreSQL manual, ANALYZE: the MAINTAIN privilege, or the database's owner
SELECT c.oid
FROM pg_catalog.pg_class c
WHERE (%(relations)s::oid[] IS NULL OR c.oid = ANY (%(relations)s::oid[]))
  AND c.relkind IN ('r', 'm', 'p', 'f')
  AND NOT pg_catalog.has_table_privilege(c.oid, 'MAINTAIN')
  AND NOT (SELECT pg_catalog.pg_has_role(d.datdba, 'USAGE') FROM pg_catalog.pg_database d
            WHERE d.datname = pg_catalog.current_database())
