-- list_view_definitions: what the files of views were found to mean
-- since: 15
-- params: database text
-- columns: view text, identity text, differs text
-- locks: ACCESS SHARE on maintenance.matview_definition
-- source: sql/store/0002_matview_refreshes.sql
SELECT d.view, d.identity, d.differs
FROM maintenance.matview_definition AS d WHERE d.database = %(database)s::text
