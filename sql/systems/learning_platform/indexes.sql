-- learning_platform: the indexes that its logins, catalog, progress and analytics need, in waves
-- since: 15

-- wave: 1
-- serves: login
CREATE INDEX idx_users_email_active ON public.users (email) WHERE is_active = true;

-- wave: 1
-- serves: members_of_an_organization
CREATE INDEX idx_users_organization_role ON public.users (organization_id, role)
    WHERE is_active = true;

-- Without the planned WHERE expires_at > NOW(): a predicate must be immutable, so sessions are
-- indexed whole, and the application deletes the expired ones.
-- wave: 1
-- serves: session_of_a_token
CREATE INDEX idx_user_sessions_token_expires ON public.user_sessions (token, expires_at);

-- Unique, as its name says and the plan's statement does not.
-- wave: 2
-- serves: progress_in_a_lesson
CREATE UNIQUE INDEX idx_progress_user_lesson_unique ON public.progress (user_id, lesson_id);

-- Unique, as its name says and the plan's statement does not.
-- wave: 2
-- serves: enrollment_in_a_course
CREATE UNIQUE INDEX idx_enrollments_user_course_unique ON public.enrollments
    (user_id, course_id);

-- Without the planned key column status, which is ACTIVE in every entry.
-- wave: 2
-- serves: active_enrollments
CREATE INDEX idx_enrollments_user_status_active ON public.enrollments (user_id)
    WHERE status = 'ACTIVE';

-- By id, the cursor of the catalog's pages, not by status, which is PUBLISHED in every entry.
-- wave: 3
-- serves: published_courses
CREATE INDEX idx_courses_status_published ON public.courses (id) WHERE status = 'PUBLISHED';

-- wave: 3
-- serves: course_discovery
CREATE INDEX idx_courses_category_difficulty ON public.courses (category, difficulty)
    WHERE status = 'PUBLISHED';

-- With coalesce: a course without a description would have no words at all.
-- wave: 3
-- serves: course_search
CREATE INDEX idx_courses_fulltext ON public.courses USING gin
    (to_tsvector('english', coalesce(title, '') || ' ' || coalesce(description, '')));

-- wave: 3
-- serves: courses_with_a_tag
CREATE INDEX idx_courses_tags_gin ON public.courses USING gin (tags) WHERE status = 'PUBLISHED';

-- The table is partitioned: an index of each month, and of the months to come.
-- wave: 4
-- serves: events_of_a_user
CREATE INDEX idx_analytics_events_user_timestamp ON public.analytics_events
    (user_id, "timestamp" DESC);

-- wave: 4
-- serves: events_of_a_type
CREATE INDEX idx_analytics_events_event_type_timestamp ON public.analytics_events
    (event_type, "timestamp" DESC);

-- wave: 4
-- serves: events_of_a_course
CREATE INDEX idx_analytics_events_data_gin ON public.analytics_events USING gin (data);
