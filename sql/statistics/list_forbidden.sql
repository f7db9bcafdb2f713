-- list_forbidden: those of the given tables, or of all, that this role may not analyze and vacuum
-- since: 15
-- params: relations oid[] (null for all)
-- columns: oid oid
-- locks: none
-- source: PostgreSQL manual, ANALYZE: its owner, the database's owner, or a superuser
SELECT c.oid
FROM pg_catalog.pg_class c
WHERE (%(relations)s::oid[] IS NULL OR c.oid = ANY (%(relations)s::oid[]))
  AND c.relkind IN ('r', 'm', 'p', 'f')
  AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
  AND NOT (SELECT pg_catalog.pg_has_role(d.datdba, 'USAGE') FROM pg_catalog.pg_database d
            WHERE d.datname = pg_catalog.current_database())
