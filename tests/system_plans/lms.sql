-- lms: the indexes as its plan asks for them, corrected only where they can't be built

CREATE INDEX users_role_idx ON users (role);
CREATE INDEX "users_role_createdAt_idx" ON users (role, "createdAt" DESC);
CREATE INDEX courses_difficulty_idx ON courses (difficulty);
CREATE INDEX "courses_createdAt_idx" ON courses ("createdAt" DESC);
CREATE INDEX courses_price_idx ON courses (price);
CREATE INDEX courses_published_catalog_idx ON courses
    (featured DESC, difficulty, "createdAt" DESC) WHERE published = true;
CREATE INDEX "transactions_createdAt_idx" ON transactions ("createdAt" DESC);
CREATE INDEX "transactions_userId_createdAt_idx" ON transactions ("userId", "createdAt" DESC);
CREATE INDEX "transactions_status_createdAt_idx" ON transactions (status, "createdAt" DESC);
CREATE INDEX "course_progress_lastAccessedAt_idx" ON course_progress ("lastAccessedAt" DESC);
CREATE INDEX "course_progress_userId_lastAccessedAt_idx" ON course_progress
    ("userId", "lastAccessedAt" DESC);
CREATE INDEX course_progress_incomplete_idx ON course_progress
    ("progressPercent", "lastAccessedAt" DESC) WHERE "progressPercent" < 100;
CREATE INDEX lesson_progress_incomplete_idx ON lesson_progress
    ("progressId", completed) WHERE completed = false;
CREATE INDEX "lesson_progress_lastWatchedAt_idx" ON lesson_progress ("lastWatchedAt" DESC);
CREATE INDEX "quiz_attempts_userId_quizId_startedAt_idx" ON quiz_attempts
    ("userId", "quizId", "startedAt" DESC);
CREATE INDEX "quiz_attempts_userId_startedAt_idx" ON quiz_attempts ("userId", "startedAt" DESC);
CREATE INDEX quiz_attempts_failed_idx ON quiz_attempts
    ("userId", "quizId", passed) WHERE passed = false;
CREATE INDEX "certificates_userId_issuedAt_idx" ON certificates ("userId", "issuedAt" DESC);
CREATE INDEX courses_search_vector_idx ON courses USING gin (search_vector);
