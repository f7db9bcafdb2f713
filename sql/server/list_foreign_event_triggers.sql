-- list_foreign_event_triggers: event triggers that run code of a role with fewer rights than their owner
-- since: 15
-- params:
-- columns: name text, owner text, function text, function_owner text
-- locks: none
-- source: PostgreSQL manual, 40 Event Triggers: only superusers create them, and they run with the rights of the role that runs DDL
-- Those that fire for extensions only, as on managed hosts, never run in our sessions.
SELECT
  pg_catalog.quote_ident(t.evtname) AS name,
  pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(t.evtowner)) AS owner,
  pg_catalog.format('%s()', t.evtfoid::pg_catalog.regproc) AS function,
  pg_catalog.quote_ident(u.rolname) AS function_owner
FROM pg_catalog.pg_event_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.evtfoid
JOIN pg_catalog.pg_roles u ON u.oid = p.proowner
WHERE t.evtenabled IN ('O', 'A')
  AND NOT u.rolsuper
  AND u.oid <> t.evtowner
  AND u.rolname <> current_user
  AND (t.evttags IS NULL
    OR NOT t.evttags <@ ARRAY['CREATE EXTENSION', 'ALTER EXTENSION', 'DROP EXTENSION'])
ORDER BY 1
