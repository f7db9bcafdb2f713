-- probe_disk: write a temporary file of 200 kB, which fails on a full disk; no WAL, no dead rows
-- since: 15
-- params:
-- columns: n int8
-- locks: none
-- source: PostgreSQL manual, 19.4.1 Memory (work_mem), 19.11.1 Statement Behavior (temp_tablespaces)
SELECT pg_catalog.count(*) AS n FROM pg_catalog.generate_series(1, 10000) AS g
