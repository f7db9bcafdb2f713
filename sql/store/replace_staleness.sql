-- replace_staleness: replace what is known of the stale rows of a table
-- since: 15
-- params: database text, table_name text, seen_at timestamptz, n_stale int8, oldest_age_s float8
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.stale_analytics
-- source: sql/store/0008_stale_analytics.sql
INSERT INTO maintenance.stale_analytics (database, table_name, seen_at, n_stale, oldest_age_s)
VALUES (%(database)s::text, %(table_name)s::text, %(seen_at)s::timestamptz, %(n_stale)s::int8,
  %(oldest_age_s)s::float8)
ON CONFLICT (database, table_name) DO UPDATE SET
  seen_at = excluded.seen_at, n_stale = excluded.n_stale, oldest_age_s = excluded.oldest_age_s
