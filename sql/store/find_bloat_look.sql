-- find_bloat_look: when bloat was last observed
-- since: 15
-- params: database text
-- columns: taken_at timestamptz
-- locks: ACCESS SHARE on maintenance.bloat_look
-- source: sql/store/0005_bloat_and_workload.sql
SELECT l.taken_at FROM maintenance.bloat_look AS l WHERE l.database = %(database)s::text
