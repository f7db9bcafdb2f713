-- list_extensions: installed extensions in another version than the one the server offers
-- since: 15
-- params:
-- columns: name text, installed text, available text, has_script bool
-- locks: none
-- source: PostgreSQL manual, 54.2 pg_available_extensions, ALTER EXTENSION
SELECT
  e.extname::text AS name,
  e.extversion AS installed,
  a.default_version AS available,
  EXISTS (SELECT FROM pg_catalog.pg_extension_update_paths(e.extname) p
          WHERE p.source = e.extversion AND p.target = a.default_version AND p.path IS NOT NULL)
    AS has_script
FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_available_extensions a ON a.name = e.extname
WHERE a.default_version <> e.extversion
ORDER BY 1
