-- note_made: note what an action has made so far, so that an undo after a crash recognizes it
-- since: 15
-- params: run_id uuid, action_id text, made jsonb (OIDs by name)
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql
UPDATE maintenance.journal AS j SET
  detail = pg_catalog.jsonb_build_object('made', %(made)s::jsonb)
WHERE j.run_id = %(run_id)s::uuid AND j.action_id = %(action_id)s::text
