-- Alerts that stand, the turns they took, and to whom each turn has been told.
ALTER TABLE maintenance.run ADD COLUMN kinds text[];
COMMENT ON COLUMN maintenance.run.kinds IS 'the kinds of findings that it could have found';
ALTER TABLE maintenance.run ADD COLUMN judged_at timestamptz;
COMMENT ON COLUMN maintenance.run.judged_at IS 'when its findings were made alerts';
CREATE INDEX run_unjudged ON maintenance.run (database, ended_at)
  WHERE judged_at IS NULL AND kinds IS NOT NULL;

CREATE TABLE maintenance.alert (
  database text NOT NULL,
  kind text NOT NULL,
  object text NOT NULL,
  severity text NOT NULL CHECK (severity IN ('info', 'warn', 'error')),
  message text NOT NULL,
  value jsonb,
  threshold jsonb,
  since timestamptz NOT NULL,
  told_at timestamptz,
  told text CHECK (told IN ('info', 'warn', 'error')),
  acknowledged_until timestamptz,
  muted_until timestamptz,
  PRIMARY KEY (database, kind, object)
);

CREATE TABLE maintenance.alert_event (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  database text NOT NULL,
  kind text NOT NULL,
  object text NOT NULL,
  turn text NOT NULL CHECK (turn IN ('raised', 'repeated', 'resolved')),
  severity text NOT NULL,
  message text NOT NULL,
  value jsonb,
  threshold jsonb,
  since timestamptz NOT NULL,
  happened_at timestamptz NOT NULL
);
CREATE INDEX alert_event_happened_at ON maintenance.alert_event (database, happened_at DESC);

CREATE TABLE maintenance.delivery (
  event_id bigint NOT NULL REFERENCES maintenance.alert_event ON DELETE CASCADE,
  sink text NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  tried_at timestamptz,
  ended_at timestamptz,
  error text,
  PRIMARY KEY (event_id, sink)
);
CREATE INDEX delivery_waiting ON maintenance.delivery (sink, event_id) WHERE ended_at IS NULL;
