-- lms: the tables of a learning management system that its course analytics are computed from
-- since: 14
-- Made as Prisma makes them: columns are camelCase, DateTime is a timestamp in UTC without a time
-- zone, and what is unique is a unique index. Only the columns that are needed here.

CREATE TYPE "EnrollmentStatus" AS ENUM ('ACTIVE', 'COMPLETED', 'CANCELLED');

CREATE TYPE "TransactionStatus" AS ENUM ('PENDING', 'COMPLETED', 'FAILED', 'REFUNDED');

CREATE TABLE courses (
    id text PRIMARY KEY,
    slug text NOT NULL,
    title text NOT NULL,
    published boolean NOT NULL DEFAULT false,
    "instructorId" text NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE UNIQUE INDEX "courses_slug_key" ON courses (slug);

CREATE TABLE enrollments (
    id text PRIMARY KEY,
    "userId" text NOT NULL,
    "courseId" text NOT NULL REFERENCES courses (id),
    status "EnrollmentStatus" NOT NULL DEFAULT 'ACTIVE',
    "enrolledAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE UNIQUE INDEX "enrollments_userId_courseId_key" ON enrollments ("userId", "courseId");

CREATE INDEX "enrollments_courseId_idx" ON enrollments ("courseId");

CREATE TABLE transactions (
    id text PRIMARY KEY,
    "userId" text NOT NULL,
    "courseId" text NOT NULL REFERENCES courses (id),
    amount numeric(10, 2) NOT NULL,
    status "TransactionStatus" NOT NULL DEFAULT 'PENDING',
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX "transactions_courseId_idx" ON transactions ("courseId");

CREATE TABLE course_analytics (
    id text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    "courseId" text NOT NULL REFERENCES courses (id),
    "totalEnrollments" integer NOT NULL DEFAULT 0,
    "activeEnrollments" integer NOT NULL DEFAULT 0,
    "completionRate" double precision NOT NULL DEFAULT 0,
    "totalRevenue" numeric(12, 2) NOT NULL DEFAULT 0,
    "lastCalculatedAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE UNIQUE INDEX "course_analytics_courseId_key" ON course_analytics ("courseId");

CREATE INDEX "course_analytics_lastCalculatedAt_idx" ON course_analytics ("lastCalculatedAt");
