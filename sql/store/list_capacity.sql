-- list_capacity: how much of each limit was in use between two moments, oldest first
-- since: 15
-- params: database text, since timestamptz, until timestamptz
-- columns: cliff text, object text, taken_at timestamptz, used float8
-- locks: ACCESS SHARE on maintenance.capacity
-- source: sql/store/0022_capacity.sql
SELECT c.cliff, c.object, c.taken_at, c.used
FROM maintenance.capacity AS c
WHERE c.database = %(database)s::text AND c.taken_at >= %(since)s::timestamptz
  AND c.taken_at < %(until)s::timestamptz
ORDER BY c.taken_at
