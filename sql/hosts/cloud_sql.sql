CREATE ROLE maintenance LOGIN;
GRANT CONNECT, CREATE ON DATABASE app TO maintenance;
GRANT USAGE, CREATE ON SCHEMA public TO maintenance, app_owner;
GRANT app_owner TO maintenance;
GRANT pg_monitor TO maintenance;
GRANT pg_read_all_data TO maintenance;
