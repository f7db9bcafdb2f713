-- learning_platform: the indexes as its plan asks for them, corrected only where they can't be built

CREATE INDEX idx_users_email_active ON users (email) WHERE is_active = true;
CREATE INDEX idx_users_organization_role ON users (organization_id, role) WHERE is_active = true;
CREATE INDEX idx_user_sessions_token_expires ON user_sessions (token, expires_at);
CREATE INDEX idx_courses_status_published ON courses (status) WHERE status = 'PUBLISHED';
CREATE INDEX idx_courses_category_difficulty ON courses (category, difficulty)
    WHERE status = 'PUBLISHED';
CREATE INDEX idx_courses_fulltext ON courses USING gin
    (to_tsvector('english', coalesce(title, '') || ' ' || coalesce(description, '')));
CREATE INDEX idx_courses_tags_gin ON courses USING gin (tags) WHERE status = 'PUBLISHED';
CREATE INDEX idx_analytics_events_user_timestamp ON analytics_events (user_id, "timestamp" DESC);
CREATE INDEX idx_analytics_events_event_type_timestamp ON analytics_events
    (event_type, "timestamp" DESC);
CREATE INDEX idx_analytics_events_data_gin ON analytics_events USING gin (data);
CREATE UNIQUE INDEX idx_progress_user_lesson_unique ON progress (user_id, lesson_id);
CREATE UNIQUE INDEX idx_enrollments_user_course_unique ON enrollments (user_id, course_id);
CREATE INDEX idx_enrollments_user_status_active ON enrollments (user_id, status)
    WHERE status = 'ACTIVE';
