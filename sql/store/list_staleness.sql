-- list_staleness: how many rows of each table were stale when it was last observed
-- since: 15
-- params: database text
-- columns: table_name text, seen_at timestamptz, n_stale int8, oldest_age_s float8
-- locks: ACCESS SHARE on maintenance.stale_analytics
-- source: sql/store/0008_stale_analytics.sql
SELECT s.table_name, s.seen_at, s.n_stale, s.oldest_age_s
FROM maintenance.stale_analytics AS s WHERE s.database = %(database)s::text ORDER BY s.table_name
