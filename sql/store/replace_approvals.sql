-- replace_approvals: keep what was approved, in place of earlier approvals of these tables
-- since: 15
-- params: database text, approvals jsonb (table_name, action, keep_months, keep_days, grace_months, grace_days, approved_at, approved_by, how of each)
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.approval
-- source: sql/store/0021_approvals_and_pauses.sql
INSERT INTO maintenance.approval (database, table_name, action, keep_months, keep_days,
  grace_months, grace_days, approved_at, approved_by, how)
SELECT %(database)s::text, a.table_name, a.action, a.keep_months, a.keep_days,
  a.grace_months, a.grace_days, a.approved_at, a.approved_by, a.how
FROM pg_catalog.jsonb_to_recordset(%(approvals)s::jsonb)
  AS a (table_name text, action text, keep_months int4, keep_days int4, grace_months int4,
    grace_days int4, approved_at timestamptz, approved_by text, how text)
ON CONFLICT (database, table_name) DO UPDATE SET
  action = excluded.action, keep_months = excluded.keep_months, keep_days = excluded.keep_days,
  grace_months = excluded.grace_months, grace_days = excluded.grace_days,
  approved_at = excluded.approved_at, approved_by = excluded.approved_by, how = excluded.how
