-- list_newest_capacity: the limits of the newest look, the nearest first
-- since: 15
-- params: database text
-- columns: cliff text, object text, used float8, ceiling float8
-- locks: ACCESS SHARE on maintenance.capacity
-- source: sql/store/0022_capacity.sql
SELECT c.cliff, c.object, c.used, c.ceiling
FROM maintenance.capacity AS c
WHERE c.database = %(database)s::text AND c.ceiling IS NOT NULL
  AND c.taken_at = (SELECT pg_catalog.max(n.taken_at) FROM maintenance.capacity n
                    WHERE n.database = %(database)s::text)
ORDER BY c.used / c.ceiling DESC, c.cliff, c.object
