-- When the finding of an alert was last observed: nothing older may change or resolve it.
ALTER TABLE maintenance.alert ADD COLUMN seen_at timestamptz;
COMMENT ON COLUMN maintenance.alert.seen_at IS 'when its finding was last observed';
