-- list_collations: collations in use whose recorded version is not that of the system's library
-- since: 15
-- params: most int4
-- columns: schema text, name text, recorded text, actual text, indexes text[], n_indexes int8, tables text[]
-- locks: none
-- source: PostgreSQL manual, ALTER COLLATION, 9.27.3 System Catalog Information Functions
-- Of the database's default the schema is NULL. 100 is the default, 950 and 951 are C and POSIX.
-- Tables are those partitioned by RANGE of such a value.
WITH used AS MATERIALIZED (
  SELECT DISTINCT u.oid
  FROM pg_catalog.pg_index i
  CROSS JOIN LATERAL pg_catalog.unnest(i.indcollation::pg_catalog.oid[]) AS u (oid)
  WHERE u.oid NOT IN (0, 100, 950, 951)
), drifted AS MATERIALIZED (
  SELECT k.oid, n.nspname AS schema, k.collname AS name, k.collversion AS recorded,
         pg_catalog.pg_collation_actual_version(k.oid) AS actual
  FROM used u
  JOIN pg_catalog.pg_collation k ON k.oid = u.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = k.collnamespace
  WHERE k.collversion IS NOT NULL
    AND pg_catalog.pg_collation_actual_version(k.oid) <> k.collversion
  UNION ALL
  SELECT 100, NULL, d.datname, d.datcollversion,
         pg_catalog.pg_database_collation_actual_version(d.oid)
  FROM pg_catalog.pg_database d
  WHERE d.datname = pg_catalog.current_database() AND d.datcollversion IS NOT NULL
    AND pg_catalog.pg_database_collation_actual_version(d.oid) <> d.datcollversion
), concerned AS MATERIALIZED (
  SELECT d.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name,
         pg_catalog.row_number() OVER (PARTITION BY d.oid ORDER BY c.relpages DESC, n.nspname, c.relname)
           AS place
  FROM drifted d
  JOIN pg_catalog.pg_index i ON d.oid = ANY (i.indcollation::pg_catalog.oid[])
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'i'
)
SELECT
  d.schema::text,
  d.name::text,
  d.recorded,
  d.actual,
  ARRAY(SELECT k.name FROM concerned k WHERE k.oid = d.oid AND k.place <= %(most)s::int4 ORDER BY k.place)
    AS indexes,
  (SELECT pg_catalog.count(*) FROM concerned k WHERE k.oid = d.oid) AS n_indexes,
  ARRAY(SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
        FROM pg_catalog.pg_partitioned_table p
        JOIN pg_catalog.pg_class c ON c.oid = p.partrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE p.partstrat = 'r' AND d.oid = ANY (p.partcollation::pg_catalog.oid[])
        ORDER BY 1) AS tables
FROM drifted d
ORDER BY d.schema NULLS FIRST, d.name
