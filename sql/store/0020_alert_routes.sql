-- Which sinks receive an alert, as which transition, and whether it waits in quiet hours.
ALTER TABLE maintenance.alert ADD COLUMN severity_since timestamptz;
COMMENT ON COLUMN maintenance.alert.severity_since IS 'since when it has its severity; null if that never changed';
ALTER TABLE maintenance.alert ADD COLUMN escalated_at timestamptz;
COMMENT ON COLUMN maintenance.alert.escalated_at IS 'when it was sent, as a warning, to sinks that receive only errors';
ALTER TABLE maintenance.alert ADD COLUMN notified_sinks text[];
COMMENT ON COLUMN maintenance.alert.notified_sinks IS 'the sinks at which it is open; null for all, before sinks were recorded';

ALTER TABLE maintenance.alert_event DROP CONSTRAINT alert_event_turn_check;
ALTER TABLE maintenance.alert_event ADD CONSTRAINT alert_event_turn_check
  CHECK (turn IN ('raised', 'repeated', 'resolved', 'escalated'));

ALTER TABLE maintenance.delivery
  ADD COLUMN turn text CHECK (turn IN ('raised', 'repeated', 'resolved')),
  ADD COLUMN severity text,
  ADD COLUMN can_wait boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN maintenance.delivery.turn IS 'the transition as this sink sees it; null for that of the event';
COMMENT ON COLUMN maintenance.delivery.severity IS 'the severity as this sink sees it; null for that of the event';
COMMENT ON COLUMN maintenance.delivery.can_wait IS 'whether it waits in quiet hours';
