-- replace_view_definitions: keep what the files of views mean, in place of earlier answers
-- since: 15
-- params: database text, answers jsonb (view, identity, differs of each)
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.matview_definition
-- source: sql/store/0002_matview_refreshes.sql
INSERT INTO maintenance.matview_definition (database, view, identity, differs)
SELECT %(database)s::text, a.view, a.identity, a.differs
FROM pg_catalog.jsonb_to_recordset(%(answers)s::jsonb)
  AS a (view text, identity text, differs text)
ON CONFLICT (database, view) DO UPDATE SET
  identity = excluded.identity, differs = excluded.differs
