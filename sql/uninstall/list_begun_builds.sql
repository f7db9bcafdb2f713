-- list_begun_builds: of some invalid indexes, those that a run of ours began to build
-- since: 15
-- params: database text, oids oid[], heads text[] (pairs)
-- columns: oid oid
-- locks: ACCESS SHARE on maintenance.run, maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql
-- A head is the part of CREATE INDEX that names the index and its table.
SELECT w.oid
FROM ROWS FROM (pg_catalog.unnest(%(oids)s::oid[]), pg_catalog.unnest(%(heads)s::text[])) AS w (oid, head)
WHERE EXISTS (
  SELECT FROM maintenance.run AS r
  JOIN maintenance.journal AS j ON j.run_id = r.id
  CROSS JOIN LATERAL pg_catalog.unnest(j.sql) AS s (statement)
  WHERE r.database = %(database)s::text AND (j.outcome IS NULL OR j.outcome = 'failed')
    AND pg_catalog.strpos(s.statement, w.head) > 0)
