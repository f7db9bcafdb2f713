-- list_retired_tables: which of some tables have had partitions detached or dropped by runs
-- since: 15
-- params: database text, tables text[]
-- columns: table_name text
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql
SELECT DISTINCT j.table_name
FROM maintenance.journal AS j
JOIN maintenance.run AS r ON r.id = j.run_id
WHERE r.database = %(database)s::text AND j.table_name = ANY (%(tables)s::text[])
  AND j.outcome = 'done' AND j.kind IN ('detach_partition', 'drop_partition')
