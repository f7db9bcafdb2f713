-- How to undo an action, and which run did: what was undone is not done again by itself.
ALTER TABLE maintenance.journal
  ADD COLUMN goal text,
  ADD COLUMN undo jsonb,
  ADD COLUMN undone_by uuid,
  ADD COLUMN undone_at timestamptz;
COMMENT ON COLUMN maintenance.journal.goal IS 'hash of what the action brings about; null if it can''t be undone';
COMMENT ON COLUMN maintenance.journal.undo IS 'the steps that undo it, in order; null if it can''t be undone';
COMMENT ON COLUMN maintenance.journal.undone_by IS 'the run that began to undo it';
COMMENT ON COLUMN maintenance.journal.undone_at IS 'when it was undone completely';
CREATE INDEX journal_goal ON maintenance.journal (goal) WHERE goal IS NOT NULL;
