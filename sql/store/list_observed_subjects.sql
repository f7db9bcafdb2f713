-- list_observed_subjects: the subjects that any ended run on a database has observed
-- since: 15
-- params: database text
-- columns: subject text
-- locks: ACCESS SHARE on maintenance.run
-- source: sql/store/0001_runs_and_journal.sql, sql/store/0012_alert_subjects.sql
SELECT DISTINCT s.subject
FROM maintenance.run AS r
CROSS JOIN LATERAL pg_catalog.unnest(r.subjects) AS s (subject)
WHERE r.database = %(database)s::text AND r.ended_at IS NOT NULL
ORDER BY s.subject
