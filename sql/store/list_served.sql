-- list_served: how long each database wants its history kept
-- since: 15
-- params:
-- columns: keep_months int4, keep_days int4
-- locks: ACCESS SHARE on maintenance.served
-- source: sql/store/0003_statistics_and_cost.sql
SELECT s.keep_months, s.keep_days FROM maintenance.served AS s
