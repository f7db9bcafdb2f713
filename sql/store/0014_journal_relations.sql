-- Which table an action was about, whatever it is called by then: a comment alone proves nothing.
ALTER TABLE maintenance.journal ADD COLUMN relation_oid bigint;
COMMENT ON COLUMN maintenance.journal.relation_oid IS 'OID of the table that the action is about; null where it has none yet';
CREATE INDEX journal_detached ON maintenance.journal (relation_oid)
 WHERE kind IN ('detach_partition', 'finalize_detach');
