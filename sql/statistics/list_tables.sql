-- list_tables: one row for each table, partition (foreign ones too), partitioned parent and filled materialized view
-- since: 15
-- params:
-- columns: oid oid, schema text, name text, kind text, parent oid, owner text, readable bool, pages int4, rows float4, changed int8, total int8, live int8, dead int8, frozen_age int4, multixact_age int4, analyzed_at timestamptz, autovacuum_pid int4, secured bool, foreign_server text
-- locks: none
-- source: PostgreSQL manual, 27.2 The Cumulative Statistics System, 54.12 pg_locks
-- An autovacuum worker is the only session without a role that locks tables, so it is found without
-- pg_monitor. Ages include that of the TOAST table, which VACUUM includes too. A role that may read
-- all tables is not asked about each.
WITH autovacuum AS MATERIALIZED (
  SELECT l.relation, pg_catalog.min(l.pid) AS pid
    FROM pg_catalog.pg_locks l
    JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
   WHERE l.locktype = 'relation'
     AND l.mode = 'ShareUpdateExclusiveLock'
     AND l.granted
     AND a.usesysid IS NULL
     AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                        WHERE d.datname = pg_catalog.current_database())
   GROUP BY 1
)
SELECT
  c.oid,
  n.nspname::text AS schema,
  c.relname::text AS name,
  c.relkind::text AS kind,
  i.inhparent AS parent,
  pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
  (SELECT pg_catalog.pg_has_role('pg_read_all_data', 'USAGE'))
    OR pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable,
  c.relpages AS pages,
  c.reltuples AS rows,
  pg_catalog.pg_stat_get_mod_since_analyze(c.oid) AS changed,
  pg_catalog.pg_stat_get_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_tuples_updated(c.oid)
    + pg_catalog.pg_stat_get_tuples_deleted(c.oid) AS total,
  pg_catalog.pg_stat_get_live_tuples(c.oid) AS live,
  pg_catalog.pg_stat_get_dead_tuples(c.oid) AS dead,
  CASE WHEN c.relkind <> 'p' THEN greatest(pg_catalog.age(c.relfrozenxid), pg_catalog.age(t.relfrozenxid)) END
    AS frozen_age,
  CASE WHEN c.relkind <> 'p' THEN greatest(pg_catalog.mxid_age(c.relminmxid), pg_catalog.mxid_age(t.relminmxid)) END
    AS multixact_age,
  greatest(pg_catalog.pg_stat_get_last_analyze_time(c.oid),
           pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid)) AS analyzed_at,
  v.pid AS autovacuum_pid,
  c.relrowsecurity AND pg_catalog.row_security_active(c.oid) AS secured,
  fs.srvname::text AS foreign_server
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid AND c.reltoastrelid <> 0
LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid AND c.relispartition
LEFT JOIN autovacuum v ON v.relation = c.oid
LEFT JOIN pg_catalog.pg_foreign_table ft ON ft.ftrelid = c.oid
LEFT JOIN pg_catalog.pg_foreign_server fs ON fs.oid = ft.ftserver
WHERE (c.relkind IN ('r', 'p', 'm') OR (c.relkind = 'f' AND c.relispartition))
  AND c.relispopulated
  AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('information_schema', 'maintenance')
  AND NOT pg_catalog.starts_with(n.nspname::text, 'pg_')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                   WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                     AND e.objid = c.oid AND e.deptype = 'e')
