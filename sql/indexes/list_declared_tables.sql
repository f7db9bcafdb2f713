-- list_declared_tables: the tables of declarations, with their owners and columns
-- since: 15
-- params: oids oid[]
-- columns: oid oid, schema text, name text, owner text, is_ours bool, may_create bool, partition_key text, n_foreign int4, default_tablespace text, tablespaces text[], numbers int2[], names text[], types text[], lengths int4[], not_null bool[], generated text[], expressions text[]
-- locks: ACCESS SHARE on tables with generated columns
-- source: PostgreSQL manual, 53.7 pg_attribute, 53.6 pg_attrdef, 9.26 System Information Functions
-- A role may create an index if it has the rights of the table's owner, and CREATE on the schema. The length is the limit of
-- a type that has one; null for a text without limit; else 0. Foreign tables among the partitions
-- can't be indexed.
SELECT
  c.oid,
  (SELECT n.nspname::text FROM pg_catalog.pg_namespace n WHERE n.oid = c.relnamespace) AS schema,
  c.relname::text AS name,
  pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
  pg_catalog.pg_has_role(c.relowner, 'USAGE') AS is_ours,
  pg_catalog.has_schema_privilege(c.relnamespace, 'CREATE') AS may_create,
  CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END AS partition_key,
  CASE WHEN c.relkind = 'p' THEN (
    WITH RECURSIVE tree AS (
      SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid
      UNION ALL
      SELECT i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.inhrelid)
    SELECT pg_catalog.count(*)::int4 FROM tree t JOIN pg_catalog.pg_class f ON f.oid = t.inhrelid
     WHERE f.relkind = 'f') ELSE 0 END AS n_foreign,
  (SELECT s.spcname::text FROM pg_catalog.pg_tablespace s JOIN pg_catalog.pg_database d ON d.dattablespace = s.oid
    WHERE d.datname = pg_catalog.current_database()) AS default_tablespace,
  ARRAY(SELECT s.spcname::text FROM pg_catalog.pg_tablespace s ORDER BY 1) AS tablespaces,
  pg_catalog.array_agg(a.attnum ORDER BY a.attnum) FILTER (WHERE a.attnum IS NOT NULL) AS numbers,
  pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attnum IS NOT NULL) AS names,
  pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum) FILTER (WHERE a.attnum IS NOT NULL) AS types,
  pg_catalog.array_agg(
    CASE WHEN a.attlen <> -1 THEN 0
         WHEN a.atttypid = ANY ('{bpchar,varchar}'::pg_catalog.regtype[]) AND a.atttypmod > 4 THEN a.atttypmod - 4
         WHEN a.atttypid = ANY ('{numeric,inet,cidr,varbit,bit,int4range,int8range,daterange,tsrange,tstzrange}'::pg_catalog.regtype[]) THEN 0
    END::int4 ORDER BY a.attnum) FILTER (WHERE a.attnum IS NOT NULL) AS lengths,
  pg_catalog.array_agg(a.attnotnull ORDER BY a.attnum) FILTER (WHERE a.attnum IS NOT NULL) AS not_null,
  pg_catalog.array_agg(a.attgenerated::text ORDER BY a.attnum) FILTER (WHERE a.attnum IS NOT NULL) AS generated,
  pg_catalog.array_agg(CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END ORDER BY a.attnum)
    FILTER (WHERE a.attnum IS NOT NULL) AS expressions
FROM pg_catalog.unnest(%(oids)s::oid[]) AS w (oid)
JOIN pg_catalog.pg_class c ON c.oid = w.oid
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
GROUP BY c.oid, c.relname, c.relowner, c.relnamespace, c.relkind
