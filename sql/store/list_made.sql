-- list_made: what runs on a database made or filled since a moment, with the table it served
-- since: 15
-- params: database text, since timestamptz, kinds text[]
-- columns: object text, table_name text, made_at timestamptz
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql
SELECT j.object, j.table_name, pg_catalog.max(j.ended_at) AS made_at
FROM maintenance.run AS r
JOIN maintenance.journal AS j ON j.run_id = r.id
WHERE r.database = %(database)s::text AND r.started_at > %(since)s::timestamptz
  AND j.kind = ANY (%(kinds)s::text[]) AND j.outcome = 'done'
GROUP BY j.object, j.table_name
