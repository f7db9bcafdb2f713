-- Whose look found what: not to be found by one subject is no proof for another's finding.
ALTER TABLE maintenance.run ADD COLUMN subjects text[];
COMMENT ON COLUMN maintenance.run.subjects IS 'the subjects that looked; null for all';
ALTER TABLE maintenance.finding ADD COLUMN subject text NOT NULL DEFAULT '';
COMMENT ON COLUMN maintenance.finding.subject IS 'whose look found it; empty where every look would';
ALTER TABLE maintenance.alert ADD COLUMN subject text NOT NULL DEFAULT '';
ALTER TABLE maintenance.alert_event ADD COLUMN subject text NOT NULL DEFAULT '';
