-- list_default_rows: how many rows default partitions held at the ends of runs since a moment
-- since: 15
-- params: database text, since timestamptz, tables text[], most int8 (runs)
-- columns: object text, ended_at timestamptz, value float8
-- locks: ACCESS SHARE on maintenance.run, maintenance.finding
-- source: sql/store/0001_runs_and_journal.sql
WITH recent AS (
  SELECT r.id, r.ended_at FROM maintenance.run AS r
  WHERE r.database = %(database)s::text AND r.started_at > %(since)s::timestamptz
    AND r.ended_at IS NOT NULL
  ORDER BY r.started_at DESC LIMIT %(most)s::int8
)
SELECT f.object, r.ended_at, (f.value #>> '{}')::float8 AS value
FROM recent AS r
JOIN maintenance.finding AS f ON f.run_id = r.id
WHERE f.kind = 'default_partition_rows' AND f.object = ANY (%(tables)s::text[])
  AND pg_catalog.jsonb_typeof(f.value) = 'number'
ORDER BY r.ended_at
