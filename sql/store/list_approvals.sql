-- list_approvals: the approved retentions of a database
-- since: 15
-- params: database text
-- columns: table_name text, action text, keep_months int4, keep_days int4, grace_months int4, grace_days int4, approved_at timestamptz, approved_by text, how text
-- locks: ACCESS SHARE on maintenance.approval
-- source: sql/store/0021_approvals_and_pauses.sql
SELECT a.table_name, a.action, a.keep_months, a.keep_days, a.grace_months, a.grace_days,
  a.approved_at, a.approved_by, a.how
FROM maintenance.approval AS a
WHERE a.database = %(database)s::text
