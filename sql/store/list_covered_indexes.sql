-- list_covered_indexes: indexes reported as duplicate or redundant, of some OIDs or since a moment, with the one that was to stay
-- since: 15
-- params: database text, since timestamptz, oids int8[]
-- columns: object text, covered_by text, reported_at timestamptz
-- locks: ACCESS SHARE on maintenance.run, maintenance.finding
-- source: sql/store/0001_runs_and_journal.sql
-- By OID, because the store's clock, which dates runs, need not be the one that dates the counters.
SELECT f.object, f.data ->> 'covered_by' AS covered_by, pg_catalog.max(r.started_at) AS reported_at
FROM maintenance.run AS r
JOIN maintenance.finding AS f ON f.run_id = r.id
WHERE r.database = %(database)s::text
  AND f.kind IN ('index_duplicate', 'index_redundant')
  AND f.data ->> 'covered_by' IS NOT NULL
  AND (r.started_at >= %(since)s::timestamptz
       OR (f.data ->> 'oid')::int8 = ANY (%(oids)s::int8[]))
GROUP BY f.object, f.data ->> 'covered_by'
