-- count_member_files: how many files the members of multixacts take
-- since: 15
-- params:
-- columns: n_files int8
-- locks: none
-- source: PostgreSQL manual, 25.1.5.1 Multixacts and Wraparound
-- Only for roles that may list files. A file has the members of 32 pages, 1,636 of each.
SELECT pg_catalog.count(*) AS n_files
FROM pg_catalog.pg_ls_dir('pg_multixact/members') AS f (name)
WHERE f.name ~ '^[0-9A-F]+$'
