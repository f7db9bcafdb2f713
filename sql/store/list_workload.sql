-- list_workload: a server's counters between two moments, oldest first
-- since: 15
-- params: database text, server text, since timestamptz, until timestamptz
-- columns: taken_at timestamptz, epoch text, blocks_hit int8, blocks_read int8, size_bytes int8
-- locks: ACCESS SHARE on maintenance.workload
-- source: sql/store/0005_bloat_and_workload.sql, sql/store/0009_replicas.sql
SELECT w.taken_at, w.epoch, w.blocks_hit, w.blocks_read, w.size_bytes
FROM maintenance.workload AS w
WHERE w.database = %(database)s::text AND w.server = %(server)s::text
  AND w.taken_at >= %(since)s::timestamptz AND w.taken_at < %(until)s::timestamptz
ORDER BY w.taken_at
