-- replace_parent_debts: keep how much partitioned parents have changed since they were analyzed
-- since: 15
-- params: database text, debts jsonb (parent, name, analyzed_at, carried, leaves of each)
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.parent_debt
-- source: sql/store/0003_statistics_and_cost.sql
INSERT INTO maintenance.parent_debt (database, parent, name, analyzed_at, carried, leaves)
SELECT %(database)s::text, d.parent, d.name, d.analyzed_at, d.carried, d.leaves
FROM pg_catalog.jsonb_to_recordset(%(debts)s::jsonb)
  AS d (parent oid, name text, analyzed_at timestamptz, carried float8, leaves jsonb)
ON CONFLICT (database, parent) DO UPDATE SET
  name = excluded.name, analyzed_at = excluded.analyzed_at, carried = excluded.carried,
  leaves = excluded.leaves, seen_at = pg_catalog.clock_timestamp()
