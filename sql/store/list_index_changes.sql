-- list_index_changes: when runs last dropped, replaced or undid an index, or converted a table, by table
-- since: 15
-- params: database text, since timestamptz
-- columns: table_name text, changed_at timestamptz
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql, sql/store/0024_undo.sql
-- Builds are not among them: their queries are measured afterwards. One that was interrupted or
-- failed may have changed something.
SELECT j.table_name, pg_catalog.max(c.changed_at) AS changed_at
FROM maintenance.run AS r
JOIN maintenance.journal AS j ON j.run_id = r.id
CROSS JOIN LATERAL (
  VALUES
    (j.undone_at),
    (CASE WHEN j.kind IN ('drop_index', 'replace_index', 'convert_table', 'undo')
            AND (j.outcome IS NULL OR j.outcome IN ('done', 'failed'))
          THEN coalesce(j.ended_at, j.intended_at) END)
) AS c (changed_at)
WHERE r.database = %(database)s::text AND r.started_at >= %(since)s::timestamptz
  AND j.table_name IS NOT NULL AND c.changed_at IS NOT NULL
GROUP BY j.table_name
