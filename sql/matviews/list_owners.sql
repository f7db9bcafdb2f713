-- list_owners: for views to create, the owner and the privileges that are usual in their schema
-- since: 15
-- params: schemas text[], names text[]
-- columns: schema text, name text, owner text, may_act bool, grants jsonb, readers jsonb, schema_exists bool, owner_may_create bool
-- locks: none
-- source: PostgreSQL manual, 5.7 Privileges, 53.11 pg_class, 9.26 aclexplode
-- The owner is that of the schema's other views if they have one owner, else of the schema, else of
-- its tables if they have one owner, else of the database; only if this role has that owner's rights.
-- Objects created by this role for others are ignored. Grants are those that all other views have,
-- and the default privileges of the owner's new tables.
WITH wanted AS (
  SELECT w.schema, w.name, n.oid, n.nspowner
  FROM ROWS FROM (pg_catalog.unnest(%(schemas)s::pg_catalog.text[]),
                  pg_catalog.unnest(%(names)s::pg_catalog.text[])) AS w (schema, name)
  LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema
), other AS (
  SELECT w.schema, w.name, c.oid, c.relkind, c.relowner, c.relacl
  FROM wanted AS w
  JOIN pg_catalog.pg_class AS c ON c.relnamespace = w.oid AND c.relname <> w.name
  WHERE c.relkind IN ('m', 'v', 'r', 'p')
    AND (c.relkind IN ('r', 'p')
      OR pg_catalog.pg_get_userbyid(c.relowner) <> current_user
      OR NOT EXISTS (SELECT FROM pg_catalog.pg_class AS t WHERE t.relnamespace = w.oid
                     AND t.relkind IN ('r', 'p') AND t.relowner <> c.relowner))
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
), candidate AS (
  SELECT o.schema, o.name, 1 AS place, pg_catalog.min(o.relowner) AS owner
  FROM other AS o WHERE o.relkind IN ('m', 'v')
  GROUP BY 1, 2 HAVING pg_catalog.count(DISTINCT o.relowner) = 1
  UNION ALL
  SELECT w.schema, w.name, 2, w.nspowner FROM wanted AS w
  WHERE w.nspowner <> 'pg_database_owner'::pg_catalog.regrole
  UNION ALL
  SELECT o.schema, o.name, 3, pg_catalog.min(o.relowner)
  FROM other AS o WHERE o.relkind IN ('r', 'p')
  GROUP BY 1, 2 HAVING pg_catalog.count(DISTINCT o.relowner) = 1
  UNION ALL
  SELECT w.schema, w.name, 4, d.datdba
  FROM wanted AS w
  JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()
), able AS (
  SELECT c.*,
    pg_catalog.pg_has_role(c.owner, 'USAGE')
      AND CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 160000
        THEN pg_catalog.pg_has_role(c.owner, 'SET') ELSE true END AS may_act
  FROM candidate AS c
), chosen AS (
  SELECT DISTINCT ON (c.schema, c.name) c.schema, c.name, c.owner, c.may_act
  FROM able AS c
  ORDER BY c.schema, c.name, c.place <> 1 AND NOT c.may_act, c.place
)
SELECT
  w.schema,
  w.name,
  pg_catalog.pg_get_userbyid(c.owner)::pg_catalog.text AS owner,
  c.may_act,
  (
    SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('to', g.grantee, 'rights',
      pg_catalog.jsonb_build_array('SELECT')) ORDER BY g.grantee)
    FROM (
      SELECT CASE WHEN a.grantee <> 0 THEN pg_catalog.pg_get_userbyid(a.grantee) END AS grantee
      FROM other AS o
      CROSS JOIN LATERAL pg_catalog.aclexplode(o.relacl) AS a
      WHERE o.schema = w.schema AND o.name = w.name AND o.relkind IN ('m', 'v')
        AND a.privilege_type = 'SELECT' AND a.grantee <> o.relowner AND a.grantee <> c.owner
      GROUP BY a.grantee
      HAVING pg_catalog.count(DISTINCT o.oid) = (
        SELECT pg_catalog.count(*) FROM other AS v
        WHERE v.schema = w.schema AND v.name = w.name AND v.relkind IN ('m', 'v'))
      UNION
      SELECT CASE WHEN a.grantee <> 0 THEN pg_catalog.pg_get_userbyid(a.grantee) END
      FROM pg_catalog.pg_default_acl AS d
      CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) AS a
      WHERE d.defaclrole = c.owner AND d.defaclobjtype = 'r' AND d.defaclnamespace IN (0, w.oid)
        AND a.privilege_type = 'SELECT' AND a.grantee <> c.owner
    ) AS g
  ) AS grants,
  (
    SELECT pg_catalog.jsonb_agg(DISTINCT
      CASE WHEN a.grantee <> 0 THEN pg_catalog.pg_get_userbyid(a.grantee) END)
    FROM pg_catalog.pg_class AS v
    CROSS JOIN LATERAL pg_catalog.aclexplode(v.relacl) AS a
    WHERE v.relnamespace = w.oid AND v.relname = w.name AND a.privilege_type = 'SELECT'
  ) AS readers,
  w.oid IS NOT NULL AS schema_exists,
  pg_catalog.has_schema_privilege(c.owner, w.oid, 'CREATE')
    OR pg_catalog.current_setting('is_superuser') = 'on' AS owner_may_create
FROM wanted AS w
LEFT JOIN chosen AS c ON c.schema = w.schema AND c.name = w.name
