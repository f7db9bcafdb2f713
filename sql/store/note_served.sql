-- note_served: note how long a database wants its history kept
-- since: 15
-- params: database text, keep_months int4, keep_days int4
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.served
-- source: sql/store/0003_statistics_and_cost.sql
INSERT INTO maintenance.served (database, keep_months, keep_days)
VALUES (%(database)s::text, %(keep_months)s::int4, %(keep_days)s::int4)
ON CONFLICT (database) DO UPDATE SET
  keep_months = excluded.keep_months, keep_days = excluded.keep_days,
  seen_at = pg_catalog.clock_timestamp()
