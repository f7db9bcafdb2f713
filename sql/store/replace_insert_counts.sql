-- replace_insert_counts: keep how many rows partitions have taken, beside or in place of earlier counts
-- since: 15
-- params: database text, inserted jsonb (by OID), all bool
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.partition_inserts
-- source: sql/store/0013_partition_inserts.sql
INSERT INTO maintenance.partition_inserts AS known (database, inserted)
VALUES (%(database)s::text, %(inserted)s::jsonb)
ON CONFLICT (database) DO UPDATE SET
  inserted = CASE WHEN %(all)s::bool THEN excluded.inserted
    ELSE known.inserted || excluded.inserted END,
  seen_at = pg_catalog.clock_timestamp()
