-- find_first_run: when the first run with a policy as it is began; no earlier policy counts
-- since: 15
-- params: database text, policy_hash text
-- columns: began_at timestamptz
-- locks: ACCESS SHARE on maintenance.run
-- source: sql/store/0001_runs_and_journal.sql
SELECT pg_catalog.min(r.started_at) AS began_at
FROM maintenance.run AS r
WHERE r.database = %(database)s::text AND r.policy_hash = %(policy_hash)s::text
