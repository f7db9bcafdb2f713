-- list_detached: the tables from which runs have detached some relations
-- since: 15
-- params: database text, relations int8[]
-- columns: relation_oid int8, tables text[]
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql, sql/store/0014_journal_relations.sql
SELECT j.relation_oid, pg_catalog.array_agg(DISTINCT j.table_name) AS tables
FROM maintenance.journal AS j
JOIN maintenance.run AS r ON r.id = j.run_id
WHERE r.database = %(database)s::text AND j.relation_oid = ANY (%(relations)s::int8[])
  AND j.kind IN ('detach_partition', 'finalize_detach')
  AND (j.outcome IS NULL OR j.outcome IN ('done', 'failed'))
GROUP BY j.relation_oid
