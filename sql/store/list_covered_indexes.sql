-- list_covered_indexes: indexes reported as duplicate or redundant since a moment, with the one that was to stay
-- since: 15
-- params: database text, since timestamptz
-- columns: object text, covered_by text
-- locks: ACCESS SHARE on maintenance.run, maintenance.finding
-- source: sql/store/0001_runs_and_journal.sql
SELECT DISTINCT f.object, f.data ->> 'covered_by' AS covered_by
FROM maintenance.run AS r
JOIN maintenance.finding AS f ON f.run_id = r.id
WHERE r.database = %(database)s::text AND r.started_at >= %(since)s::timestamptz
  AND f.kind IN ('index_duplicate', 'index_redundant')
  AND f.data ->> 'covered_by' IS NOT NULL
