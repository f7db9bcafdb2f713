-- note_processed_runs: note that the findings of runs were made alerts
-- since: 15
-- params: runs uuid[]
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.run
-- source: sql/store/0006_alerts.sql
UPDATE maintenance.run SET processed_at = pg_catalog.clock_timestamp()
WHERE id = ANY (%(runs)s::uuid[])
