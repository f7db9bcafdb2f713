-- begin_run: note that a run has begun
-- since: 15
-- params: run_id uuid, database text, command text, version text, policy_hash text
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.run
-- source: sql/store/0001_runs_and_journal.sql
INSERT INTO maintenance.run (id, database, command, version, policy_hash)
VALUES (%(run_id)s::uuid, %(database)s::text, %(command)s::text, %(version)s::text,
  %(policy_hash)s::text)
