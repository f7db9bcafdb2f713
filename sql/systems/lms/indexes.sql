-- lms: the indexes of its optimization, in waves
-- since: 15
-- Names are camelCase, so they are quoted everywhere: unquoted they do not exist.
-- What goes is dropped only after what takes its place is there. Prisma's models must lose the
-- same @@index lines, or its next migration makes them again.

-- Not users_role_idx ON (role) too, as planned: this one begins with the role, finds the same users
-- and counts them as fast, while a second one would only cost writes.
-- wave: 1
-- serves: newest_users_of_a_role, users_of_a_role, count_users_of_a_role
CREATE INDEX "users_role_createdAt_idx" ON public.users (role, "createdAt" DESC);

-- wave: 1
-- serves: courses_of_a_difficulty
CREATE INDEX courses_difficulty_idx ON public.courses (difficulty);

-- wave: 1
-- serves: newest_courses, featured_courses
CREATE INDEX "courses_createdAt_idx" ON public.courses ("createdAt" DESC);

-- wave: 1
-- serves: courses_in_a_price_range
CREATE INDEX courses_price_idx ON public.courses (price);

-- wave: 1
-- serves: course_catalog
-- expect: 10x
CREATE INDEX courses_published_catalog_idx ON public.courses
    (featured DESC, difficulty, "createdAt" DESC) WHERE published = true;

-- wave: 1
-- serves: transactions_of_a_month
CREATE INDEX "transactions_createdAt_idx" ON public.transactions ("createdAt" DESC);

-- wave: 1
-- serves: payment_history
-- expect: 10x
CREATE INDEX "transactions_userId_createdAt_idx" ON public.transactions
    ("userId", "createdAt" DESC);

-- wave: 1
-- serves: pending_transactions
CREATE INDEX "transactions_status_createdAt_idx" ON public.transactions (status, "createdAt" DESC);

-- wave: 1
-- serves: recently_active_students
CREATE INDEX "course_progress_lastAccessedAt_idx" ON public.course_progress
    ("lastAccessedAt" DESC);

-- wave: 1
-- serves: progress_of_a_user, student_dashboard
-- expect: 5x
CREATE INDEX "course_progress_userId_lastAccessedAt_idx" ON public.course_progress
    ("userId", "lastAccessedAt" DESC);

-- Not ("progressPercent", "lastAccessedAt" DESC) as planned: led by the column of a range, the
-- index is read from end to end before PostgreSQL 18.
-- wave: 1
-- replaces: "course_progress_progressPercent_idx"
-- serves: stalled_students
CREATE INDEX course_progress_incomplete_idx ON public.course_progress ("lastAccessedAt")
    WHERE "progressPercent" < 100;

-- wave: 1
DROP INDEX public.users_email_idx;

-- wave: 1
DROP INDEX public.courses_slug_idx;

-- wave: 1
DROP INDEX public."transactions_providerTxnId_idx";

-- Without the planned key column completed, which is false in every entry.
-- wave: 2
-- replaces: lesson_progress_completed_idx
-- serves: unfinished_lessons
CREATE INDEX lesson_progress_incomplete_idx ON public.lesson_progress ("progressId")
    WHERE completed = false;

-- wave: 2
-- serves: recently_watched_lessons
CREATE INDEX "lesson_progress_lastWatchedAt_idx" ON public.lesson_progress ("lastWatchedAt" DESC);

-- wave: 2
-- serves: attempts_at_a_quiz
CREATE INDEX "quiz_attempts_userId_quizId_startedAt_idx" ON public.quiz_attempts
    ("userId", "quizId", "startedAt" DESC);

-- wave: 2
-- serves: newest_attempts_of_a_user
CREATE INDEX "quiz_attempts_userId_startedAt_idx" ON public.quiz_attempts
    ("userId", "startedAt" DESC);

-- Without the planned key column passed, which is false in every entry.
-- wave: 2
-- serves: failed_attempts
CREATE INDEX quiz_attempts_failed_idx ON public.quiz_attempts ("userId", "quizId")
    WHERE passed = false;

-- wave: 2
-- serves: certificates_of_a_user
CREATE INDEX "certificates_userId_issuedAt_idx" ON public.certificates ("userId", "issuedAt" DESC);

-- wave: 2
DROP INDEX public."certificates_certificateNo_idx";

-- Adding it rewrites the table, and nothing reads or writes the table meanwhile.
-- wave: 3
ALTER TABLE public.courses ADD COLUMN search_vector tsvector GENERATED ALWAYS AS (
    setweight(to_tsvector('english', coalesce(title, '')), 'A')
    || setweight(to_tsvector('english', coalesce(description, '')), 'B')
) STORED;

-- wave: 3
-- serves: course_search
-- expect: 10x
CREATE INDEX courses_search_vector_idx ON public.courses USING gin (search_vector);

-- Optional in the plan.
-- wave: 4
-- serves: media_of_a_provider
CREATE INDEX media_type_provider_idx ON public.media (type, provider);

-- wave: 4
-- serves: newest_media
CREATE INDEX "media_createdAt_idx" ON public.media ("createdAt" DESC);

-- wave: 4
-- serves: stale_course_analytics
CREATE INDEX "course_analytics_lastCalculatedAt_idx" ON public.course_analytics
    ("lastCalculatedAt");
