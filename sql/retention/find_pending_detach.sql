-- find_pending_detach: whether the detach of a partition was begun and not ended
-- since: 15
-- params: child oid
-- columns: parent oid
-- locks: none
-- source: PostgreSQL manual, 53.22 pg_inherits
SELECT i.inhparent AS parent
FROM pg_catalog.pg_inherits i
WHERE i.inhrelid = %(child)s AND i.inhdetachpending
