-- Measurements by day and by week in Berlin's time, with hostile names, an open beginning and a gap.
CREATE SCHEMA "IoT Data";
SET TimeZone = 'Europe/Berlin';
CREATE TABLE "IoT Data"."Sensor ""Reading"": #1" (
  device integer NOT NULL, at timestamp with time zone NOT NULL, "Value: °C" double precision
) PARTITION BY RANGE (at);
CREATE TABLE "IoT Data"."select" (
  device integer NOT NULL, "at
time" timestamp with time zone NOT NULL) PARTITION BY RANGE ("at
time");
CREATE TABLE "IoT Data".shift (device integer NOT NULL, at timestamp with time zone NOT NULL)
  PARTITION BY RANGE (at);
CREATE TABLE "IoT Data".hourly (device integer NOT NULL, at timestamp with time zone NOT NULL)
  PARTITION BY RANGE (at);
CREATE TABLE "IoT Data".by_id (id bigint NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE "IoT Data".by_id_0 PARTITION OF "IoT Data".by_id FOR VALUES FROM (0) TO (1000000);
CREATE TABLE "IoT Data".by_id_1 PARTITION OF "IoT Data".by_id FOR VALUES FROM (1000000) TO (2000000);
DO $$
DECLARE day timestamptz := date_trunc('day', now()) - interval '200 days';
        week timestamptz := date_trunc('week', now()) - interval '32 weeks';
        hour timestamptz := date_trunc('hour', now());
BEGIN
  EXECUTE format('CREATE TABLE "IoT Data"."the past" PARTITION OF "IoT Data"."Sensor ""Reading"": #1"
                  FOR VALUES FROM (MINVALUE) TO (%L)', day);
  FOR n IN 1..202 LOOP
    EXECUTE format('CREATE TABLE "IoT Data".%I PARTITION OF "IoT Data"."Sensor ""Reading"": #1"
                    FOR VALUES FROM (%L) TO (%L)', 'Sensor: ' || to_char(day, 'YYYY.MM.DD'),
                   day, day + interval '1 day');
    day := day + interval '1 day';
  END LOOP;
  FOR n IN 1..34 LOOP
    -- a week was forgotten
    IF n <> 10 THEN
      EXECUTE format('CREATE TABLE "IoT Data".%I PARTITION OF "IoT Data"."select"
                      FOR VALUES FROM (%L) TO (%L)', 'select_p' || to_char(week, 'IYYY"w"IW'),
                     week, week + interval '1 week');
      EXECUTE format('CREATE TABLE "IoT Data".%I PARTITION OF "IoT Data".shift
                      FOR VALUES FROM (%L) TO (%L)', 'shift_' || n,
                     week - interval '1 day', week + interval '6 days');
    END IF;
    week := week + interval '1 week';
  END LOOP;
  EXECUTE format('CREATE TABLE "IoT Data".hourly_1 PARTITION OF "IoT Data".hourly
                  FOR VALUES FROM (%L) TO (%L)', hour, hour + interval '1 hour');
END $$;
