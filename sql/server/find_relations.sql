-- find_relations: the relations that have the given names
-- since: 15
-- params: names text[] (qualified and quoted)
-- columns: name text, oid oid
-- locks: none
-- source: PostgreSQL manual, 9.27.3 to_regclass
SELECT n.name, r.oid
FROM pg_catalog.unnest(%(names)s::pg_catalog.text[]) AS n (name)
CROSS JOIN LATERAL (SELECT pg_catalog.to_regclass(n.name)::pg_catalog.oid AS oid) AS r
WHERE r.oid IS NOT NULL
