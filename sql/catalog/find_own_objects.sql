-- find_own_objects: those of the given tables with objects not inherited from the table at the top
-- since: 15
-- params: tops oid[], relations oid[] (pairs)
-- columns: relation oid
-- locks: none
-- source: PostgreSQL manual, 53 System Catalogs
-- A cheap filter before list_own_objects, on a few partitions of each table: usually none is found.
-- It must find every table that list_own_objects would return. Each catalog is read by its index on
-- the table: OFFSET 0 prevents hashing the whole catalog.
SELECT w.relation
FROM ROWS FROM (pg_catalog.unnest(%(tops)s::oid[]), pg_catalog.unnest(%(relations)s::oid[])) AS w (top, relation)
CROSS JOIN LATERAL (SELECT k.* FROM pg_catalog.pg_class k WHERE k.oid = w.relation OFFSET 0) c
CROSS JOIN LATERAL (SELECT k.* FROM pg_catalog.pg_class k WHERE k.oid = w.top OFFSET 0) p
WHERE c.relpersistence = 'u'
   OR c.relreplident <> p.relreplident
   OR c.reltablespace <> p.reltablespace
   OR c.relrowsecurity <> p.relrowsecurity
   OR c.relforcerowsecurity <> p.relforcerowsecurity
   OR EXISTS (SELECT FROM pg_catalog.pg_index x
               WHERE x.indrelid = w.relation
                 AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = x.indexrelid OFFSET 0) OFFSET 0)
   OR EXISTS (SELECT FROM pg_catalog.pg_constraint k
               WHERE k.conrelid = w.relation
                 AND (k.contype = 'c' AND k.coninhcount = 0 OR k.contype = 'f' AND k.conparentid = 0) OFFSET 0)
   OR EXISTS (SELECT FROM pg_catalog.pg_trigger t
               WHERE t.tgrelid = w.relation AND NOT t.tgisinternal AND t.tgparentid = 0 OFFSET 0)
   OR EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = w.relation OFFSET 0)
   OR EXISTS (SELECT FROM pg_catalog.pg_policy y WHERE y.polrelid = w.relation OFFSET 0)
   OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel r WHERE r.prrelid = w.relation OFFSET 0)
   OR EXISTS (SELECT FROM pg_catalog.pg_statistic_ext e WHERE e.stxrelid = w.relation
                AND (SELECT pg_catalog.count(*) FROM pg_catalog.pg_statistic_ext o WHERE o.stxrelid = w.relation)
                    <> (SELECT pg_catalog.count(*) FROM pg_catalog.pg_statistic_ext o WHERE o.stxrelid = w.top))
   OR EXISTS (SELECT FROM pg_catalog.pg_attribute a
                JOIN pg_catalog.pg_attribute t
                  ON t.attrelid = w.top AND t.attname = a.attname
               WHERE a.attrelid = w.relation AND a.attnum > 0
                 AND (a.attnotnull <> t.attnotnull OR a.attstorage <> t.attstorage
                      OR a.attcompression <> t.attcompression OR a.atthasdef <> t.atthasdef
                      OR a.atthasdef AND a.attgenerated = '' AND
                         (SELECT pg_catalog.regexp_replace(d.adbin::text, ':(location|varattno|varattnosyn) -?\d+', '', 'g')
                            FROM pg_catalog.pg_attrdef d
                           WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum)
                         IS DISTINCT FROM
                         (SELECT pg_catalog.regexp_replace(d.adbin::text, ':(location|varattno|varattnosyn) -?\d+', '', 'g')
                            FROM pg_catalog.pg_attrdef d
                           WHERE d.adrelid = t.attrelid AND d.adnum = t.attnum)))
