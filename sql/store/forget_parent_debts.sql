-- forget_parent_debts: forget partitioned parents that are gone
-- since: 15
-- params: database text, parents oid[] (that are there)
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.parent_debt
-- source: sql/store/0003_statistics_and_cost.sql
DELETE FROM maintenance.parent_debt
WHERE database = %(database)s::text AND parent <> ALL (%(parents)s::oid[])
