-- list_archives: the periods of tables that were archived, with what was last written of each
-- since: 15
-- params: database text, tables text[]
-- columns: table_name text, period text, n_rows int8, size_bytes int8, ended_at timestamptz
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql
SELECT DISTINCT ON (j.table_name, j.period) j.table_name, j.period,
  (j.detail ->> 'rows')::int8 AS n_rows, (j.detail ->> 'bytes')::int8 AS size_bytes, j.ended_at
FROM maintenance.journal AS j
JOIN maintenance.run AS r ON r.id = j.run_id
WHERE r.database = %(database)s::text AND j.table_name = ANY (%(tables)s::text[])
  AND j.kind = 'archive_partition' AND j.outcome = 'done' AND j.period IS NOT NULL
  AND j.detail ? 'rows' AND j.detail ? 'bytes'
ORDER BY j.table_name, j.period, j.intended_at DESC
