-- list_parent_debts: how much partitioned parents had changed since they were analyzed
-- since: 15
-- params: database text
-- columns: parent oid, analyzed_at timestamptz, carried float8, leaves jsonb
-- locks: ACCESS SHARE on maintenance.parent_debt
-- source: sql/store/0003_statistics_and_cost.sql
SELECT d.parent, d.analyzed_at, d.carried, d.leaves
FROM maintenance.parent_debt AS d WHERE d.database = %(database)s::text
