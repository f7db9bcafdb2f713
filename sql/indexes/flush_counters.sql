-- flush_counters: make what this session has counted visible, once its transaction has ended
-- since: 15
-- params:
-- columns: is_asked bool
-- locks: none
-- source: PostgreSQL manual, 27.2.24 Statistics Functions
SELECT pg_catalog.pg_stat_force_next_flush() IS NOT NULL AS is_asked
