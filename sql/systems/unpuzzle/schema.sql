-- unpuzzle: the tables of a video learning application, with the indexes it had before any tuning
-- since: 15

CREATE TABLE video_progress (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    student_id uuid NOT NULL,
    course_id uuid NOT NULL,
    video_id uuid NOT NULL,
    completed boolean NOT NULL DEFAULT false,
    progress_percent integer NOT NULL DEFAULT 0,
    last_watched_at timestamptz,
    UNIQUE (student_id, video_id)
);

CREATE TABLE enrollments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    course_id uuid NOT NULL,
    progress_percent integer NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'active',
    enrolled_at timestamptz NOT NULL DEFAULT now(),
    last_accessed_at timestamptz,
    UNIQUE (user_id, course_id)
);

CREATE TABLE course_goal_assignments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    course_id uuid NOT NULL,
    goal_id uuid NOT NULL,
    status text NOT NULL DEFAULT 'active',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (course_id, goal_id)
);

CREATE TABLE course_track_assignments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    course_id uuid NOT NULL,
    track_id uuid NOT NULL,
    assignment_order integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (course_id, track_id)
);

CREATE TABLE conversation_messages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid NOT NULL,
    sender_id uuid NOT NULL,
    message_type text NOT NULL,
    content text,
    target_date date,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE message_attachments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    message_id uuid NOT NULL REFERENCES conversation_messages (id) ON DELETE CASCADE,
    file_type text,
    file_url text,
    file_size bigint,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ai_interactions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    student_id uuid NOT NULL,
    course_id uuid,
    interaction_type text NOT NULL,
    context_type text,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE learning_milestones (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    course_id uuid,
    milestone_type text NOT NULL,
    achieved boolean NOT NULL DEFAULT false,
    achieved_at timestamptz
);

CREATE TABLE learning_activities (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    course_id uuid NOT NULL,
    activity_type text NOT NULL,
    points_earned integer,
    created_at timestamp NOT NULL DEFAULT now()
);

CREATE TABLE requests (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    request_type text NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX idx_video_progress_user_video ON video_progress (student_id, video_id);
CREATE INDEX idx_enrollments_user_id ON enrollments (user_id);
CREATE INDEX course_goal_assignments_course_id_idx ON course_goal_assignments (course_id);
CREATE INDEX course_goal_assignments_goal_id_idx ON course_goal_assignments (goal_id);
CREATE INDEX course_track_assignments_course_id_idx ON course_track_assignments (course_id);
CREATE INDEX course_track_assignments_track_id_idx ON course_track_assignments (track_id);
CREATE INDEX idx_conversation_messages_timeline ON conversation_messages
    (conversation_id, target_date DESC NULLS LAST, created_at DESC);
CREATE INDEX idx_message_attachments_message ON message_attachments (message_id);
CREATE INDEX idx_ai_interactions_user_course ON ai_interactions (student_id, course_id);
CREATE INDEX idx_learning_activities_user_course ON learning_activities (user_id, course_id);
CREATE INDEX requests_user_id_idx ON requests (user_id);
