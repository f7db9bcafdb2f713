-- measure_relations: size of relations with their indexes and TOAST, by tablespace
-- since: 15
-- params: relations text[] (their qualified names, quoted)
-- columns: size_bytes int8, tablespace text (its location; null for that of the server)
-- locks: ACCESS SHARE on the relations and their indexes, for their sizes
-- source: PostgreSQL manual, 9.28.7 pg_total_relation_size, 53.11 pg_class
SELECT pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid))::int8 AS size_bytes,
  nullif(pg_catalog.pg_tablespace_location(
    coalesce(nullif(c.reltablespace, 0), d.dattablespace)), '') AS tablespace
FROM pg_catalog.unnest(%(relations)s::text[]) AS r (name)
JOIN pg_catalog.pg_class AS c ON c.oid = pg_catalog.to_regclass(r.name)::oid
JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()
GROUP BY 2
