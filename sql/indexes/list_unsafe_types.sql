-- list_unsafe_types: types of the given names that can run code of a role: no enum, none of a superuser
-- since: 15
-- params: names text[]
-- columns: name text
-- locks: none
-- source: PostgreSQL manual, 53.64 pg_type
SELECT DISTINCT t.typname::text AS name
FROM pg_catalog.pg_type AS t
JOIN pg_catalog.pg_roles AS r ON r.oid = t.typowner
WHERE t.typname = ANY (%(names)s::name[]) AND t.typtype <> 'e' AND NOT r.rolsuper
