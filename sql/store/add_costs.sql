-- add_costs: keep what a run's own statements cost
-- since: 15
-- params: taken_at timestamptz, database text, run_id uuid, costs jsonb (purpose, n_statements, seconds, n_rows of each)
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.cost
-- source: sql/store/0003_statistics_and_cost.sql
INSERT INTO maintenance.cost
  (taken_at, database, run_id, purpose, n_statements, seconds, n_rows)
SELECT %(taken_at)s::timestamptz, %(database)s::text, %(run_id)s::uuid,
  c.purpose, c.n_statements, c.seconds, c.n_rows
FROM pg_catalog.jsonb_to_recordset(%(costs)s::jsonb)
  AS c (purpose text, n_statements int4, seconds float8, n_rows int8)
