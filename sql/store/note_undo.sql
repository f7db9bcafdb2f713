-- note_undo: note that a run undoes an action, or has undone it
-- since: 15
-- params: run_id uuid, action_id text, undone_by uuid, is_complete bool
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.journal
-- source: sql/store/0024_undo.sql
UPDATE maintenance.journal AS j SET
  undone_by = %(undone_by)s::uuid,
  undone_at = CASE WHEN %(is_complete)s::bool THEN pg_catalog.clock_timestamp() END
WHERE j.run_id = %(run_id)s::uuid AND j.action_id = %(action_id)s::text
