-- list_carried: the statements that copy indexes, privileges and other properties of a view to its replacement, in order
-- since: 15
-- params: view oid, beside text, columns text[], prefix text
-- columns: place int4, statement text, index_name text, made_name text
-- locks: ACCESS SHARE on the indexes
-- source: PostgreSQL manual, 53.11 pg_class, 9.26 aclexplode
SELECT 1 AS place, s.statement, NULL::pg_catalog.text AS index_name, NULL::pg_catalog.text AS made_name
FROM pg_catalog.pg_class AS c
CROSS JOIN LATERAL (
  SELECT pg_catalog.format('ALTER MATERIALIZED VIEW %%s SET (%%I = %%L)', %(beside)s::pg_catalog.text,
    pg_catalog.split_part(o.text, '=', 1), pg_catalog.substr(o.text, pg_catalog.strpos(o.text, '=') + 1)) AS statement
  FROM pg_catalog.unnest(c.reloptions) AS o (text)
  UNION ALL
  SELECT pg_catalog.format('GRANT %%s ON %%s TO %%s%%s', a.privilege_type, %(beside)s::pg_catalog.text,
    CASE WHEN a.grantee = 0 THEN 'PUBLIC'
      ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END,
    CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
  FROM pg_catalog.aclexplode(c.relacl) AS a
  WHERE a.grantee <> c.relowner
) AS s
WHERE c.oid = %(view)s
UNION ALL
SELECT 2, s.statement, NULL, NULL
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_attribute AS b ON b.attrelid = c.oid AND b.attnum > 0 AND NOT b.attisdropped
CROSS JOIN LATERAL (
  SELECT pg_catalog.format('GRANT %%s (%%I) ON %%s TO %%s%%s', a.privilege_type, b.attname,
    %(beside)s::pg_catalog.text,
    CASE WHEN a.grantee = 0 THEN 'PUBLIC'
      ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END,
    CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS statement
  FROM pg_catalog.aclexplode(b.attacl) AS a
  WHERE a.grantee <> c.relowner
  UNION ALL
  SELECT pg_catalog.format('ALTER MATERIALIZED VIEW %%s ALTER COLUMN %%I SET STATISTICS %%s',
    %(beside)s::pg_catalog.text, b.attname, b.attstattarget)
  WHERE b.attstattarget >= 0
  UNION ALL
  SELECT pg_catalog.format('COMMENT ON COLUMN %%s.%%I IS %%L', %(beside)s::pg_catalog.text, b.attname,
    pg_catalog.col_description(c.oid, b.attnum))
  WHERE pg_catalog.col_description(c.oid, b.attnum) IS NOT NULL
) AS s
WHERE c.oid = %(view)s AND b.attname::pg_catalog.text = ANY (%(columns)s)
UNION ALL
SELECT 3,
  pg_catalog.format('CREATE %%sINDEX %%I ON %%s %%s',
    CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END,
    %(prefix)s::pg_catalog.text || i.indexrelid, %(beside)s::pg_catalog.text,
    pg_catalog.substr(pg_catalog.pg_get_indexdef(i.indexrelid), pg_catalog.length(pg_catalog.format(
      'CREATE %%sINDEX %%I ON %%I.%%I ', CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END,
      x.relname, n.nspname, c.relname)) + 1)),
  x.relname::pg_catalog.text,
  %(prefix)s::pg_catalog.text || i.indexrelid
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indrelid = %(view)s AND i.indisvalid
UNION ALL
SELECT 4,
  pg_catalog.format('COMMENT ON INDEX %%I.%%I IS %%L', n.nspname,
    %(prefix)s::pg_catalog.text || i.indexrelid,
    pg_catalog.obj_description(i.indexrelid, 'pg_class')),
  NULL, NULL
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indrelid = %(view)s AND i.indisvalid
  AND pg_catalog.obj_description(i.indexrelid, 'pg_class') IS NOT NULL
ORDER BY 1, 2
