-- list_undone_goals: what actions brought about and a later run undid, unless it was done again
-- since: 15
-- params: database text
-- columns: goal text, undone_by text
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql, sql/store/0024_undo.sql
SELECT newest.goal, newest.undone_by::text AS undone_by
FROM (SELECT DISTINCT ON (j.goal) j.goal, j.undone_by
      FROM maintenance.run AS r
      JOIN maintenance.journal AS j ON j.run_id = r.id
      WHERE r.database = %(database)s::text AND j.goal IS NOT NULL
        AND (j.outcome IS NULL OR j.outcome IN ('done', 'failed'))
      ORDER BY j.goal, j.intended_at DESC, j.place DESC) AS newest
WHERE newest.undone_by IS NOT NULL
