-- list_unreadable: those of the given tables whose rows we can't read, and why
-- since: 15
-- params: tables oid[]
-- columns: oid oid, secured bool, refused bool
-- locks: none
-- source: PostgreSQL manual, 5.8 Row Security Policies, 9.27 System Information Functions
-- `secured` means that row-level security applies to this role; else the privilege is missing.
-- `refused` means that no column can be read either, as far as privileges decide.
SELECT
  c.oid,
  c.relrowsecurity AND pg_catalog.row_security_active(c.oid) AS secured,
  NOT pg_catalog.has_any_column_privilege(c.oid, 'SELECT')
    OR NOT pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')
    OR (c.relrowsecurity AND pg_catalog.row_security_active(c.oid)) AS refused
FROM pg_catalog.pg_class c
WHERE c.oid = ANY (%(tables)s::oid[])
  AND (NOT pg_catalog.has_table_privilege(c.oid, 'SELECT')
       OR NOT pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')
       OR (c.relrowsecurity AND pg_catalog.row_security_active(c.oid)))
