-- list_actions_to_undo: the actions of a run that may have changed something, the last one first
-- since: 15
-- params: run_id uuid
-- columns: run_id text, action_id text, goal text, kind text, object text, table_name text, outcome text, detail jsonb, undo jsonb, undone_at timestamptz, later_run text
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql, sql/store/0024_undo.sql
-- An unfinished action of an earlier run that this one completed belongs to it: what it left is
-- undone too. The upkeep of the store itself is left out. `later_run` is one that did the same after this one, and was not undone;
-- of a conversion also one that only went on with it: it knew the table better.
WITH wanted AS (
  SELECT j.*, r.database, true AS is_own
  FROM maintenance.journal AS j JOIN maintenance.run AS r ON r.id = j.run_id
  WHERE j.run_id = %(run_id)s::uuid AND NOT pg_catalog.starts_with(j.object, 'maintenance.')
    AND (j.outcome IS NULL OR j.outcome IN ('done', 'failed'))
), continued AS (
  SELECT e.*, w.database, false AS is_own
  FROM wanted AS w
  JOIN maintenance.journal AS e ON e.goal = w.goal AND e.run_id <> w.run_id
    AND e.intended_at < w.intended_at
  JOIN maintenance.run AS r ON r.id = e.run_id AND r.database = w.database
  WHERE (e.outcome IS NULL OR e.outcome = 'failed') AND e.undone_at IS NULL
    AND NOT EXISTS (
      SELECT FROM maintenance.journal AS b
      WHERE b.goal = w.goal AND b.outcome = 'done'
        AND b.intended_at > e.intended_at AND b.intended_at < w.intended_at)
)
SELECT a.run_id::text AS run_id, a.action_id, coalesce(a.goal, '') AS goal, a.kind, a.object, a.table_name, a.outcome, a.detail,
  a.undo, a.undone_at,
  (SELECT l.run_id::text
   FROM maintenance.journal AS l JOIN maintenance.run AS r ON r.id = l.run_id
   WHERE a.is_own AND l.goal = a.goal AND r.database = a.database
     AND (l.outcome = 'done' OR a.kind = 'convert_table' AND (l.outcome IS NULL OR l.outcome = 'failed'))
     AND l.undone_at IS NULL AND l.intended_at > a.intended_at
   ORDER BY l.intended_at DESC LIMIT 1) AS later_run
FROM (SELECT * FROM wanted UNION ALL SELECT * FROM continued) AS a
ORDER BY a.is_own DESC, a.intended_at DESC, a.place DESC
