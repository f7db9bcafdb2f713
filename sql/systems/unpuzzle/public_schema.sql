-- unpuzzle: the same application's tables as its public repository has them, with their indexes
-- since: 15
-- Eight of the ten indexes of indexes.sql name a column that is not in here.

CREATE TABLE video_progress (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    course_id uuid NOT NULL,
    video_id uuid NOT NULL,
    progress_percent integer NOT NULL DEFAULT 0 CHECK (progress_percent BETWEEN 0 AND 100),
    last_position_seconds integer NOT NULL DEFAULT 0,
    max_position_reached_seconds integer NOT NULL DEFAULT 0,
    total_watch_time_seconds integer NOT NULL DEFAULT 0,
    pause_count integer NOT NULL DEFAULT 0,
    rewind_count integer NOT NULL DEFAULT 0,
    playback_speed numeric(3, 1) NOT NULL DEFAULT 1.0,
    first_started_at timestamptz,
    completed_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (user_id, video_id)
);

CREATE TABLE enrollments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    course_id uuid NOT NULL,
    enrolled_at timestamptz NOT NULL DEFAULT now(),
    progress_percent integer NOT NULL DEFAULT 0 CHECK (progress_percent BETWEEN 0 AND 100),
    completed_videos integer NOT NULL DEFAULT 0,
    total_videos integer NOT NULL DEFAULT 0,
    ai_interactions_count integer NOT NULL DEFAULT 0,
    current_lesson_title text,
    current_video_id uuid,
    estimated_time_remaining_formatted text,
    last_accessed_at timestamptz,
    completed_at timestamptz,
    UNIQUE (user_id, course_id)
);

CREATE TABLE course_goal_assignments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    course_id uuid NOT NULL,
    goal_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (course_id, goal_id)
);

CREATE TABLE course_track_assignments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    course_id uuid NOT NULL,
    track_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (course_id, track_id)
);

CREATE TABLE conversation_messages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid NOT NULL,
    sender_id uuid NOT NULL,
    message_type text NOT NULL
        CHECK (message_type IN ('daily_note', 'instructor_response', 'activity', 'milestone')),
    content text,
    metadata jsonb,
    reply_to_id uuid REFERENCES conversation_messages (id),
    target_date date,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE message_attachments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    message_id uuid NOT NULL REFERENCES conversation_messages (id) ON DELETE CASCADE,
    filename text NOT NULL,
    original_filename text NOT NULL,
    file_size bigint NOT NULL,
    mime_type text NOT NULL,
    cdn_url text,
    backblaze_file_id text,
    storage_path text,
    upload_status text NOT NULL DEFAULT 'uploading'
        CHECK (upload_status IN ('uploading', 'completed', 'failed')),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ai_interactions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    course_id uuid,
    video_id uuid,
    interaction_type text NOT NULL CHECK (
        interaction_type IN ('hint', 'explanation', 'quiz', 'reflection', 'question', 'summary')
    ),
    prompt text NOT NULL,
    response text,
    video_timestamp_seconds integer,
    concepts_discussed text[],
    user_rating integer CHECK (user_rating BETWEEN 1 AND 5),
    helpful boolean,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE learning_milestones (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    course_id uuid,
    milestone_type text NOT NULL CHECK (
        milestone_type IN (
            'module_completion', 'skill_mastery', 'time_goal', 'interaction_goal',
            'course_completion', 'quiz_score'
        )
    ),
    title text NOT NULL,
    description text,
    target_value integer,
    current_value integer,
    progress_percent integer NOT NULL DEFAULT 0,
    is_achieved boolean NOT NULL DEFAULT false,
    achieved_at timestamptz,
    sequence_order integer,
    prerequisite_milestone_id uuid REFERENCES learning_milestones (id)
);

CREATE TABLE learning_activities (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    course_id uuid NOT NULL,
    video_id uuid,
    activity_type text NOT NULL
        CHECK (activity_type IN ('quiz', 'reflection', 'checkpoint', 'prompt')),
    activity_subtype text,
    title text NOT NULL,
    content jsonb,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'active', 'completed')),
    triggered_at_timestamp integer,
    completed_at timestamp,
    created_at timestamp NOT NULL DEFAULT now(),
    updated_at timestamp NOT NULL DEFAULT now()
);

CREATE TABLE requests (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    request_type text NOT NULL
        CHECK (request_type IN ('bug_report', 'feature_request', 'track_change', 'refund')),
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'in_review', 'approved', 'rejected', 'completed')),
    priority text NOT NULL DEFAULT 'medium'
        CHECK (priority IN ('low', 'medium', 'high', 'urgent')),
    metadata jsonb,
    assigned_to uuid,
    resolved_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX idx_video_progress_user_video ON video_progress (user_id, video_id);
CREATE INDEX idx_enrollments_user_id ON enrollments (user_id);
CREATE INDEX idx_enrollments_user_accessed ON enrollments (user_id, last_accessed_at DESC);
CREATE INDEX course_goal_assignments_course_id_idx ON course_goal_assignments (course_id);
CREATE INDEX course_goal_assignments_goal_id_idx ON course_goal_assignments (goal_id);
CREATE INDEX course_track_assignments_course_id_idx ON course_track_assignments (course_id);
CREATE INDEX course_track_assignments_track_id_idx ON course_track_assignments (track_id);
CREATE INDEX idx_conversation_messages_timeline ON conversation_messages
    (conversation_id, target_date DESC NULLS LAST, created_at DESC);
CREATE INDEX idx_message_attachments_message ON message_attachments (message_id);
CREATE INDEX idx_ai_interactions_user_course ON ai_interactions (user_id, course_id);
CREATE INDEX idx_learning_activities_user_course ON learning_activities (user_id, course_id);
CREATE INDEX requests_user_id_idx ON requests (user_id);
