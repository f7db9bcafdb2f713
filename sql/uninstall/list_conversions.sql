-- list_conversions: the tables that a run began to convert
-- since: 15
-- params: database text
-- columns: object text
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql
SELECT DISTINCT j.object
FROM maintenance.journal AS j
JOIN maintenance.run AS r ON r.id = j.run_id
WHERE r.database = %(database)s::text AND j.kind = 'convert_table'
