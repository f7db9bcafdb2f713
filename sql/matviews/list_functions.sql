-- list_functions: functions, and those behind operators, with what decides whether they are steady
-- since: 14
-- params: functions oid[], operators oid[]
-- columns: oid oid, operator oid, name text, volatility text, language text, kind text, version text, body text
-- locks: none
-- source: PostgreSQL manual, 53.39 pg_proc, 38.7 Function Volatility Categories
SELECT
  p.oid,
  w.operator,
  p.oid::pg_catalog.regprocedure::pg_catalog.text AS name,
  p.provolatile::pg_catalog.text AS volatility,
  l.lanname::pg_catalog.text AS language,
  p.prokind::pg_catalog.text AS kind,
  p.xmin::pg_catalog.text AS version,
  p.prosqlbody::pg_catalog.text AS body
FROM (
  SELECT f.oid, NULL::pg_catalog.oid AS operator
  FROM pg_catalog.unnest(%(functions)s::pg_catalog.oid[]) AS f (oid)
  UNION
  SELECT o.oprcode::pg_catalog.oid, o.oid
  FROM pg_catalog.pg_operator AS o
  WHERE o.oid = ANY (%(operators)s)
) AS w
JOIN pg_catalog.pg_proc AS p ON p.oid = w.oid
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
