-- add_intents: keep the actions that a run is about to carry out
-- since: 15
-- params: actions jsonb (rows of maintenance.journal)
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.journal
-- source: sql/store/0001_runs_and_journal.sql, sql/store/0014_journal_relations.sql, sql/store/0024_undo.sql
INSERT INTO maintenance.journal
  (run_id, action_id, place, kind, object, table_name, period, sql, reason, destructive,
   relation_oid, goal, undo)
SELECT a.run_id, a.action_id, a.place, a.kind, a.object, a.table_name, a.period, a.sql, a.reason,
  a.destructive, a.relation_oid, a.goal, a.undo
FROM pg_catalog.jsonb_populate_recordset(NULL::maintenance.journal, %(actions)s::jsonb) AS a
