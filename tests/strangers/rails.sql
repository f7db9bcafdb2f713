-- A Rails application: events by month (written in UTC, without a zone), a view of scenic.
CREATE TABLE public.schema_migrations (version character varying NOT NULL PRIMARY KEY);
CREATE TABLE public.ar_internal_metadata (
  key character varying NOT NULL PRIMARY KEY, value character varying,
  created_at timestamp(6) without time zone NOT NULL, updated_at timestamp(6) without time zone NOT NULL);
CREATE TABLE public.users (
  id bigserial PRIMARY KEY, email character varying NOT NULL,
  created_at timestamp(6) without time zone NOT NULL, updated_at timestamp(6) without time zone NOT NULL);
CREATE UNIQUE INDEX index_users_on_email ON public.users (email);
CREATE TABLE public.ahoy_events (
  id bigserial, user_id bigint REFERENCES public.users (id), name character varying,
  properties jsonb, created_at timestamp(6) without time zone NOT NULL,
  PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
CREATE INDEX index_ahoy_events_on_user_id ON public.ahoy_events (user_id);
DO $$
DECLARE month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC') - interval '6 months';
BEGIN
  FOR n IN 1..8 LOOP
    EXECUTE format('CREATE TABLE public.%I PARTITION OF public.ahoy_events FOR VALUES FROM (%L) TO (%L)',
                   'ahoy_events_y' || to_char(month, 'YYYY"m"MM'), month, month + interval '1 month');
    month := month + interval '1 month';
  END LOOP;
END $$;
INSERT INTO public.users (email, created_at, updated_at) VALUES ('a@example.com', now(), now());
INSERT INTO public.ahoy_events (user_id, name, created_at)
SELECT 1, 'visit', (now() AT TIME ZONE 'UTC') - n * interval '1 hour' FROM generate_series(0, 99) n;
CREATE MATERIALIZED VIEW public.daily_visits AS
SELECT created_at::date AS day, count(*) AS visits FROM public.ahoy_events GROUP BY 1;
CREATE UNIQUE INDEX index_daily_visits_on_day ON public.daily_visits (day);
CREATE VIEW public.active_users AS SELECT DISTINCT user_id FROM public.ahoy_events;
