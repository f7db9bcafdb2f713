-- list_functions: functions, also of operators, with the properties that show whether they are immutable
-- since: 15
-- params: functions oid[], operators oid[]
-- columns: oid oid, operator oid, name text, volatility text, language text, kind text, version text, body text, defaults text, extension text, parts oid[], parsed oid[], is_constructor bool
-- locks: none
-- source: PostgreSQL manual, 53.39 pg_proc, 38.7 Function Volatility Categories, 53.3 pg_amop
-- The functions of an operator are its own, those of its negator and its commutator, which the
-- planner may use instead, and the sort and hash functions of its operator families; of the latter
-- only those that are not built in. An aggregate reads its initial state from text at each start.
SELECT
  p.oid,
  w.operator,
  p.oid::pg_catalog.regprocedure::pg_catalog.text AS name,
  p.provolatile::pg_catalog.text AS volatility,
  l.lanname::pg_catalog.text AS language,
  p.prokind::pg_catalog.text AS kind,
  pg_catalog.concat(p.xmin, ':', g.xmin) AS version,
  p.prosqlbody::pg_catalog.text AS body,
  CASE WHEN p.oid >= 16384 THEN p.proargdefaults::pg_catalog.text END AS defaults,
  (SELECT e.extname::pg_catalog.text
   FROM pg_catalog.pg_depend AS d
   JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
   WHERE p.oid >= 16384 AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
     AND d.objid = p.oid AND d.deptype = 'e'
     AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass) AS extension,
  CASE WHEN p.oid >= 16384 AND p.prokind = 'a' THEN pg_catalog.array_remove(ARRAY[
    g.aggtransfn::pg_catalog.oid, g.aggfinalfn::pg_catalog.oid, g.aggcombinefn::pg_catalog.oid,
    g.aggserialfn::pg_catalog.oid, g.aggdeserialfn::pg_catalog.oid,
    g.aggmtransfn::pg_catalog.oid, g.aggminvtransfn::pg_catalog.oid,
    g.aggmfinalfn::pg_catalog.oid], 0::pg_catalog.oid) END AS parts,
  CASE WHEN p.oid >= 16384 AND p.prokind = 'a' THEN pg_catalog.array_remove(ARRAY[
    CASE WHEN g.agginitval IS NOT NULL THEN g.aggtranstype END,
    CASE WHEN g.aggminitval IS NOT NULL THEN g.aggmtranstype END], NULL) END AS parsed,
  l.lanname = 'internal' AND p.prosrc ~ '^(multi)?range_constructor[0-3]$' AS is_constructor
FROM (
  SELECT f.oid, NULL::pg_catalog.oid AS operator
  FROM pg_catalog.unnest(%(functions)s::pg_catalog.oid[]) AS f (oid)
  UNION
  SELECT o.oprcode::pg_catalog.oid, o.oid
  FROM pg_catalog.pg_operator AS o
  WHERE o.oid = ANY (%(operators)s)
  UNION
  SELECT n.oprcode::pg_catalog.oid, o.oid
  FROM pg_catalog.pg_operator AS o
  JOIN pg_catalog.pg_operator AS m ON m.oid IN (o.oprcom, o.oprnegate)
  JOIN pg_catalog.pg_operator AS n ON n.oid IN (m.oid, m.oprcom, m.oprnegate)
  WHERE o.oid = ANY (%(operators)s) AND n.oprcode::pg_catalog.oid >= 16384
  UNION
  SELECT s.amproc::pg_catalog.oid, m.amopopr
  FROM pg_catalog.pg_amop AS m
  JOIN pg_catalog.pg_amproc AS s ON s.amprocfamily = m.amopfamily
  WHERE m.amopopr = ANY (%(operators)s) AND m.amopmethod IN (403, 405)
    AND s.amproc::pg_catalog.oid >= 16384
) AS w
JOIN pg_catalog.pg_proc AS p ON p.oid = w.oid
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
LEFT JOIN pg_catalog.pg_aggregate AS g ON g.aggfnoid = p.oid
