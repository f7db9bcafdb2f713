-- forget_approvals: withdraw the approvals of some tables
-- since: 15
-- params: database text, tables text[]
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.approval
-- source: sql/store/0021_approvals_and_pauses.sql
DELETE FROM maintenance.approval
WHERE database = %(database)s::text AND table_name = ANY (%(tables)s::text[])
