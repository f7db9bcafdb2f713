-- list_named_functions: functions whose name occurs in a text, with the event triggers that call them
-- since: 15
-- params: context text
-- columns: signature text, name text, raw_name text, schema text, owner text, event_trigger text
-- locks: none
-- source: PostgreSQL manual, 53.39 pg_proc, 53.21 pg_event_trigger
-- Built-in functions are left out.
SELECT
  pg_catalog.format('%%I.%%I(%%s)', n.nspname, p.proname,
                    pg_catalog.oidvectortypes(p.proargtypes)) AS signature,
  pg_catalog.quote_ident(p.proname) AS name,
  p.proname::text AS raw_name,
  pg_catalog.quote_ident(n.nspname) AS schema,
  pg_catalog.pg_get_userbyid(p.proowner)::text AS owner,
  (SELECT pg_catalog.quote_ident(e.evtname) FROM pg_catalog.pg_event_trigger e
   WHERE e.evtfoid = p.oid AND e.evtenabled <> 'D' ORDER BY e.evtname LIMIT 1) AS event_trigger
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND (pg_catalog.strpos(%(context)s::text, p.proname::text) > 0
       OR pg_catalog.strpos(%(context)s::text, pg_catalog.quote_ident(p.proname)) > 0)
ORDER BY p.oid
