-- find_pending_detach: the parent of a partition whose detach is pending, none otherwise
-- since: 15
-- params: child oid
-- columns: parent oid
-- locks: none
-- source: PostgreSQL manual, 53.22 pg_inherits
SELECT i.inhparent AS parent
FROM pg_catalog.pg_inherits i
WHERE i.inhrelid = %(child)s AND i.inhdetachpending
