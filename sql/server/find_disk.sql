-- find_disk: the server's data directory, one row; null if not visible to this role
-- since: 15
-- params:
-- columns: data_directory text, is_local bool
-- locks: none
-- source: PostgreSQL manual, 20.2 File Locations, 9.26 inet_server_addr
SELECT
  (SELECT s.setting FROM pg_catalog.pg_settings s WHERE s.name = 'data_directory') AS data_directory,
  pg_catalog.inet_server_addr() IS NULL
    OR pg_catalog.inet_server_addr() = pg_catalog.inet_client_addr() AS is_local
