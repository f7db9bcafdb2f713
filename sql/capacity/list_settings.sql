-- list_settings: wanted settings as new sessions of this database have them, one row for each name
-- since: 15
-- params: names text[] (in lower case)
-- columns: wanted text, name text, value text, unit text, vartype text, context text, is_pending bool, is_of_role bool, sees_all bool, database text
-- locks: none
-- source: PostgreSQL manual, 54.25 pg_settings, 53.16 pg_db_role_setting
-- reset_val is what a session starts with, before this software sets anything: settings of the server,
-- of the database, and of this role (is_of_role), which no other role has. Without sees_all, settings that
-- only superusers may see are not there.
SELECT
  w.wanted,
  s.name,
  s.reset_val AS value,
  s.unit,
  s.vartype,
  s.context,
  s.pending_restart AS is_pending,
  EXISTS (SELECT FROM pg_catalog.pg_db_role_setting r
          CROSS JOIN LATERAL pg_catalog.pg_options_to_table(r.setconfig) o
          WHERE r.setrole = (SELECT u.oid FROM pg_catalog.pg_roles u WHERE u.rolname = session_user)
            AND r.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database d
                                      WHERE d.datname = pg_catalog.current_database()))
            AND pg_catalog.lower(o.option_name) = w.wanted) AS is_of_role,
  pg_catalog.pg_has_role(current_user, 'pg_read_all_settings', 'USAGE') AS sees_all,
  pg_catalog.current_database()::text AS database
FROM pg_catalog.unnest(%(names)s::text[]) AS w (wanted)
LEFT JOIN pg_catalog.pg_settings s ON pg_catalog.lower(s.name) = w.wanted
