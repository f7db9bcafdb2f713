-- forget_runs: remove a database's runs before a moment, with their journal and findings; one stays
-- since: 15
-- params: database text, before timestamptz, kept uuid
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.run and what refers to it
-- source: sql/store/0001_runs_and_journal.sql
DELETE FROM maintenance.run
WHERE database = %(database)s::text AND started_at < %(before)s::timestamptz
  AND id <> %(kept)s::uuid
