-- list_newest_findings: the newest stored finding of a kind on each object of a database
-- since: 15
-- params: database text, kind text
-- columns: object text, severity text, message text, value jsonb, threshold jsonb, data jsonb, subject text, found_at timestamptz
-- locks: ACCESS SHARE on maintenance.run and maintenance.finding
-- source: sql/store/0001_runs_and_journal.sql, sql/store/0012_alert_subjects.sql
SELECT DISTINCT ON (f.object) f.object, f.severity, f.message, f.value, f.threshold, f.data,
  f.subject, r.ended_at AS found_at
FROM maintenance.run AS r
JOIN maintenance.finding AS f ON f.run_id = r.id
WHERE r.database = %(database)s::text AND f.kind = %(kind)s::text AND r.ended_at IS NOT NULL
ORDER BY f.object, r.ended_at DESC
