-- list_insert_counts: how many rows some partitions had taken when they were last observed
-- since: 15
-- params: database text, oids text[]
-- columns: oid text, facts jsonb
-- locks: ACCESS SHARE on maintenance.partition_inserts
-- source: sql/store/0013_partition_inserts.sql
SELECT e.key AS oid, e.value AS facts
FROM maintenance.partition_inserts AS i, pg_catalog.jsonb_each(i.inserted) AS e
WHERE i.database = %(database)s::text AND e.key = ANY (%(oids)s::text[])
