-- add_capacity: keep how much of each limit is in use
-- since: 15
-- params: taken_at timestamptz, database text, levels jsonb (cliff, object, used, ceiling of each)
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.capacity
-- source: sql/store/0022_capacity.sql
INSERT INTO maintenance.capacity (taken_at, database, cliff, object, used, ceiling)
SELECT %(taken_at)s::timestamptz, %(database)s::text, r.cliff, r.object, r.used, r.ceiling
FROM pg_catalog.jsonb_to_recordset(%(levels)s::jsonb)
  AS r (cliff text, object text, used float8, ceiling float8)
