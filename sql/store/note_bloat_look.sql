-- note_bloat_look: note when bloat was last observed
-- since: 15
-- params: database text, taken_at timestamptz
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.bloat_look
-- source: sql/store/0005_bloat_and_workload.sql
INSERT INTO maintenance.bloat_look (database, taken_at)
VALUES (%(database)s::text, %(taken_at)s::timestamptz)
ON CONFLICT (database) DO UPDATE SET taken_at = excluded.taken_at
