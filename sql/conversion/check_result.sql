-- check_result: the partitioned table above a table, with its indexes that are not valid
-- since: 15
-- params: relation oid
-- columns: name text, parent text, bound text, n_partitions int8, invalid_indexes jsonb
-- locks: none; the bound waits for an ACCESS EXCLUSIVE lock on the table
-- source: PostgreSQL manual, 53.27 pg_inherits, 53.26 pg_index
SELECT
  pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name,
  pg_catalog.quote_ident(pn.nspname) || '.' || pg_catalog.quote_ident(p.relname) AS parent,
  pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound,
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_inherits o WHERE o.inhparent = p.oid) AS n_partitions,
  (SELECT pg_catalog.jsonb_agg(i.relname ORDER BY i.relname)
     FROM pg_catalog.pg_index x
     JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = p.oid AND NOT x.indisvalid) AS invalid_indexes
FROM pg_catalog.pg_inherits h
JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class p ON p.oid = h.inhparent
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE h.inhrelid = %(relation)s
