-- lms: the tables of a learning management system made by Prisma, with the indexes it began with
-- since: 15
-- Made as Prisma makes them: columns are camelCase, DateTime is a timestamp in UTC without a time
-- zone, and what is unique is a unique index. Foreign keys to users are left out, and so are the
-- three tables of the login library, which no index and no query of the application's touches.

CREATE TYPE "Role" AS ENUM ('ADMIN', 'INSTRUCTOR', 'STUDENT');
CREATE TYPE "Difficulty" AS ENUM ('BEGINNER', 'INTERMEDIATE', 'ADVANCED', 'EXPERT');
CREATE TYPE "EnrollmentStatus" AS ENUM ('ACTIVE', 'COMPLETED', 'CANCELLED');
CREATE TYPE "TransactionStatus" AS ENUM ('PENDING', 'COMPLETED', 'FAILED', 'REFUNDED');

CREATE TABLE users (
    id text PRIMARY KEY,
    email text NOT NULL,
    role "Role" NOT NULL DEFAULT 'STUDENT',
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE courses (
    id text PRIMARY KEY,
    slug text NOT NULL,
    title text NOT NULL,
    description text,
    published boolean NOT NULL DEFAULT false,
    featured boolean NOT NULL DEFAULT false,
    difficulty "Difficulty" NOT NULL DEFAULT 'BEGINNER',
    price numeric(10, 2) NOT NULL DEFAULT 0,
    "instructorId" text NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE course_modules (
    id text PRIMARY KEY,
    "courseId" text NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    "order" integer NOT NULL,
    duration integer
);

CREATE TABLE lessons (
    id text PRIMARY KEY,
    "moduleId" text NOT NULL REFERENCES course_modules (id) ON DELETE CASCADE,
    "order" integer NOT NULL,
    duration integer
);

CREATE TABLE enrollments (
    id text PRIMARY KEY,
    "userId" text NOT NULL,
    "courseId" text NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    status "EnrollmentStatus" NOT NULL DEFAULT 'ACTIVE',
    "paymentStatus" "TransactionStatus",
    "enrolledAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE course_progress (
    id text PRIMARY KEY,
    "userId" text NOT NULL,
    "courseId" text NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    "progressPercent" integer NOT NULL DEFAULT 0,
    "completedLessons" integer NOT NULL DEFAULT 0,
    "totalLessons" integer NOT NULL DEFAULT 0,
    "lastAccessedAt" timestamp(3)
);

CREATE TABLE lesson_progress (
    id text PRIMARY KEY,
    "progressId" text NOT NULL REFERENCES course_progress (id) ON DELETE CASCADE,
    "lessonId" text NOT NULL REFERENCES lessons (id) ON DELETE CASCADE,
    completed boolean NOT NULL DEFAULT false,
    "completedAt" timestamp(3),
    "lastWatchedAt" timestamp(3),
    "watchTimeSeconds" integer NOT NULL DEFAULT 0
);

CREATE TABLE transactions (
    id text PRIMARY KEY,
    "userId" text NOT NULL,
    "courseId" text NOT NULL REFERENCES courses (id),
    amount numeric(10, 2) NOT NULL,
    status "TransactionStatus" NOT NULL DEFAULT 'PENDING',
    provider text NOT NULL DEFAULT 'stripe',
    "providerTxnId" text,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE course_analytics (
    id text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    "courseId" text NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    "totalEnrollments" integer NOT NULL DEFAULT 0,
    "activeEnrollments" integer NOT NULL DEFAULT 0,
    "completionRate" double precision NOT NULL DEFAULT 0,
    "totalRevenue" numeric(12, 2) NOT NULL DEFAULT 0,
    "lastCalculatedAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE media (
    id text PRIMARY KEY,
    type text NOT NULL,
    provider text NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE quizzes (
    id text PRIMARY KEY,
    title text NOT NULL
);

CREATE TABLE questions (
    id text PRIMARY KEY,
    "quizId" text NOT NULL REFERENCES quizzes (id) ON DELETE CASCADE
);

CREATE TABLE quiz_attempts (
    id text PRIMARY KEY,
    "userId" text NOT NULL,
    "quizId" text NOT NULL REFERENCES quizzes (id) ON DELETE CASCADE,
    passed boolean,
    "startedAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE certificates (
    id text PRIMARY KEY,
    "certificateNo" text NOT NULL,
    "userId" text NOT NULL,
    "courseId" text NOT NULL REFERENCES courses (id),
    "issuedAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE UNIQUE INDEX users_email_key ON users (email);
CREATE INDEX users_email_idx ON users (email);
CREATE UNIQUE INDEX courses_slug_key ON courses (slug);
CREATE INDEX courses_slug_idx ON courses (slug);
CREATE INDEX courses_published_featured_idx ON courses (published, featured);
CREATE INDEX "courses_instructorId_idx" ON courses ("instructorId");
CREATE INDEX "course_modules_courseId_order_idx" ON course_modules ("courseId", "order");
CREATE INDEX "lessons_moduleId_order_idx" ON lessons ("moduleId", "order");
CREATE INDEX "enrollments_userId_idx" ON enrollments ("userId");
CREATE INDEX "enrollments_courseId_idx" ON enrollments ("courseId");
CREATE INDEX enrollments_status_idx ON enrollments (status);
CREATE UNIQUE INDEX "enrollments_userId_courseId_key" ON enrollments ("userId", "courseId");
CREATE UNIQUE INDEX "transactions_providerTxnId_key" ON transactions ("providerTxnId");
CREATE INDEX "transactions_userId_idx" ON transactions ("userId");
CREATE INDEX "transactions_courseId_idx" ON transactions ("courseId");
CREATE INDEX transactions_status_idx ON transactions (status);
CREATE INDEX "transactions_providerTxnId_idx" ON transactions ("providerTxnId");
CREATE INDEX "course_progress_userId_idx" ON course_progress ("userId");
CREATE INDEX "course_progress_courseId_idx" ON course_progress ("courseId");
CREATE INDEX "course_progress_progressPercent_idx" ON course_progress ("progressPercent");
CREATE UNIQUE INDEX "course_progress_userId_courseId_key" ON course_progress ("userId", "courseId");
CREATE INDEX "lesson_progress_progressId_idx" ON lesson_progress ("progressId");
CREATE INDEX "lesson_progress_lessonId_idx" ON lesson_progress ("lessonId");
CREATE INDEX lesson_progress_completed_idx ON lesson_progress (completed);
CREATE UNIQUE INDEX "lesson_progress_progressId_lessonId_key" ON lesson_progress ("progressId", "lessonId");
CREATE INDEX "quiz_attempts_quizId_idx" ON quiz_attempts ("quizId");
CREATE INDEX "quiz_attempts_userId_idx" ON quiz_attempts ("userId");
CREATE UNIQUE INDEX "certificates_certificateNo_key" ON certificates ("certificateNo");
CREATE INDEX "certificates_userId_idx" ON certificates ("userId");
CREATE INDEX "certificates_courseId_idx" ON certificates ("courseId");
CREATE INDEX "certificates_certificateNo_idx" ON certificates ("certificateNo");
CREATE UNIQUE INDEX "course_analytics_courseId_key" ON course_analytics ("courseId");
