-- list_sequences: the sequences of the database
-- since: 15
-- params:
-- columns: oid oid, schema text, name text, type_bytes int4, increment int8, least int8, most int8, start int8, cycles bool, readable bool
-- locks: none
-- source: PostgreSQL manual, 53.47 pg_sequence
SELECT
  s.seqrelid AS oid,
  n.nspname::text AS schema,
  c.relname::text AS name,
  q.typlen::int4 AS type_bytes,
  s.seqincrement AS increment,
  s.seqmin AS least,
  s.seqmax AS most,
  s.seqstart AS start,
  s.seqcycle AS cycles,
  pg_catalog.has_sequence_privilege(s.seqrelid, 'SELECT, USAGE') AS readable
FROM pg_catalog.pg_sequence s
JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type q ON q.oid = s.seqtypid
WHERE c.relpersistence <> 't'
ORDER BY s.seqrelid
