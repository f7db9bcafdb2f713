-- A Prisma application: camelCase names in quotes, text identifiers, a plain table that grows.
CREATE TABLE public."_prisma_migrations" (
  id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL, finished_at timestamptz,
  migration_name varchar(255) NOT NULL, logs text, rolled_back_at timestamptz,
  started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count integer NOT NULL DEFAULT 0);
CREATE TYPE public."Role" AS ENUM ('ADMIN', 'USER');
CREATE TABLE public."User" (
  id text PRIMARY KEY, email text NOT NULL, role public."Role" NOT NULL DEFAULT 'USER',
  "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "updatedAt" timestamp(3) NOT NULL);
CREATE UNIQUE INDEX "User_email_key" ON public."User" (email);
CREATE TABLE public."AuditLog" (
  id text NOT NULL, "userId" text NOT NULL REFERENCES public."User" (id), payload jsonb,
  "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id, "createdAt")) PARTITION BY RANGE ("createdAt");
CREATE INDEX "AuditLog_userId_idx" ON public."AuditLog" ("userId");
CREATE TABLE public."PageView" (
  id text PRIMARY KEY, path text NOT NULL,
  "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "seenAt" timestamp(3));
CREATE INDEX "PageView_createdAt_idx" ON public."PageView" ("createdAt");
INSERT INTO public."PageView" (id, path) SELECT n::text, '/' FROM generate_series(1, 2000) n;
DO $$
DECLARE month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC') - interval '2 months';
BEGIN
  FOR n IN 1..4 LOOP
    EXECUTE format('CREATE TABLE public.%I PARTITION OF public."AuditLog" FOR VALUES FROM (%L) TO (%L)',
                   'AuditLog_' || to_char(month, 'YYYY-MM'), month, month + interval '1 month');
    month := month + interval '1 month';
  END LOOP;
END $$;
CREATE MATERIALIZED VIEW public."UserActivity" AS
SELECT "userId", count(*) AS n FROM public."AuditLog" GROUP BY 1;
CREATE UNIQUE INDEX "UserActivity_userId_key" ON public."UserActivity" ("userId");
CREATE MATERIALIZED VIEW public."TopUsers" AS SELECT * FROM public."UserActivity" ORDER BY n DESC LIMIT 10;
