-- list_described: those of the given relations with visible statistics on any column
-- since: 15
-- params: relations oid[]
-- columns: oid oid
-- locks: none
-- source: PostgreSQL manual, 54.27 pg_stats
SELECT c.oid
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(relations)s::oid[])
  AND EXISTS (SELECT FROM pg_catalog.pg_stats s
               WHERE s.schemaname = n.nspname AND s.tablename = c.relname)
