-- Tables as pg_partman 5 makes them, and its configuration: the parts that a policy is inferred from.
CREATE SCHEMA partman;
CREATE TABLE partman.part_config (
  parent_table text NOT NULL PRIMARY KEY, control text NOT NULL, time_encoder text, time_decoder text,
  partition_interval text NOT NULL, partition_type text NOT NULL, premake int NOT NULL DEFAULT 4,
  automatic_maintenance text NOT NULL DEFAULT 'on', template_table text, retention text,
  retention_schema text, retention_keep_index boolean NOT NULL DEFAULT true,
  retention_keep_table boolean NOT NULL DEFAULT true, epoch text NOT NULL DEFAULT 'none',
  constraint_cols text[], optimize_constraint int NOT NULL DEFAULT 30,
  infinite_time_partitions boolean NOT NULL DEFAULT false, datetime_string text,
  jobmon boolean NOT NULL DEFAULT true, sub_partition_set_full boolean NOT NULL DEFAULT false,
  undo_in_progress boolean NOT NULL DEFAULT false, inherit_privileges boolean DEFAULT false,
  constraint_valid boolean NOT NULL DEFAULT true, ignore_default_data boolean NOT NULL DEFAULT true,
  date_trunc_interval text, maintenance_order int, retention_keep_publication boolean NOT NULL DEFAULT false,
  maintenance_last_run timestamptz, default_table boolean DEFAULT true);
CREATE TABLE public.orders (id bigint NOT NULL, placed_at timestamptz NOT NULL) PARTITION BY RANGE (placed_at);
CREATE TABLE public.logs (id bigint NOT NULL, at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE public.hits (id bigint NOT NULL, at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE public.orders_default PARTITION OF public.orders DEFAULT;
CREATE TABLE public.logs_default PARTITION OF public.logs DEFAULT;
CREATE TABLE public.hits_default PARTITION OF public.hits DEFAULT;
SET TimeZone = 'UTC';
DO $$
DECLARE month timestamptz := date_trunc('month', now()) - interval '12 months';
        day timestamptz := date_trunc('day', now()) - interval '30 days';
BEGIN
  FOR n IN 1..17 LOOP
    EXECUTE format('CREATE TABLE public.%I PARTITION OF public.orders FOR VALUES FROM (%L) TO (%L)',
                   'orders_p' || to_char(month, 'YYYYMMDD'), month, month + interval '1 month');
    month := month + interval '1 month';
  END LOOP;
  FOR n IN 1..35 LOOP
    EXECUTE format('CREATE TABLE public.%I PARTITION OF public.logs FOR VALUES FROM (%L) TO (%L)',
                   'logs_p' || to_char(day, 'YYYYMMDD'), day, day + interval '1 day');
    EXECUTE format('CREATE TABLE public.%I PARTITION OF public.hits FOR VALUES FROM (%L) TO (%L)',
                   'hits_p' || to_char(day, 'YYYYMMDD'), day, day + interval '1 day');
    day := day + interval '1 day';
  END LOOP;
END $$;
INSERT INTO public.orders SELECT n, now() FROM generate_series(1, 10) n;
INSERT INTO public.logs SELECT n, now() FROM generate_series(1, 10) n;
INSERT INTO partman.part_config
  (parent_table, control, partition_interval, partition_type, premake, retention, retention_keep_table,
   datetime_string, automatic_maintenance)
VALUES
  ('public.orders', 'placed_at', '1 mon', 'range', 4, '12 months', true, 'YYYYMMDD', 'on'),
  ('public.logs', 'at', '1 day', 'range', 4, '30 days', false, 'YYYYMMDD', 'on'),
  ('public.hits', 'at', '1 day', 'range', 4, '10 days', false, 'YYYYMMDD', 'off');
