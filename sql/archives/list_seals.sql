-- list_seals: the seals of the manifests written for one period, from the journal
-- since: 15
-- params: database text, table text, period text
-- columns: seal text
-- locks: none
-- source: decision 0031
SELECT DISTINCT j.detail ->> 'seal' AS seal
FROM maintenance.journal j
JOIN maintenance.run r ON r.id = j.run_id
WHERE r.database = %(database)s AND j.table_name = %(table)s AND j.period = %(period)s
  AND j.kind = 'archive_partition' AND j.outcome = 'done' AND j.detail ? 'seal'
