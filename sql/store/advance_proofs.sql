-- advance_proofs: move the moments up to which refreshes are proven right; never backwards
-- since: 15
-- params: ids int8[], moments timestamptz[] (one of each id)
-- columns:
-- locks: ROW EXCLUSIVE on maintenance.matview_refresh
-- source: sql/store/0002_matview_refreshes.sql
UPDATE maintenance.matview_refresh AS r SET proven_as_of = greatest(r.proven_as_of, p.as_of)
FROM ROWS FROM (
  pg_catalog.unnest(%(ids)s::int8[]), pg_catalog.unnest(%(moments)s::timestamptz[])
) AS p (id, as_of)
WHERE r.id = p.id
