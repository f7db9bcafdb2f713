-- unpuzzle: the declared indexes, written for the tables of the public repository
-- since: 15
-- What has no such column there is left out or takes the column that means the same: user_id for
-- student_id, updated_at for last_watched_at, completed_at for completed and status, mime_type for
-- file_type, is_achieved for achieved. The second of the ten is there already, by another name:
-- idx_enrollments_user_accessed.

-- wave: 1
CREATE INDEX idx_video_progress_student_course_completion ON public.video_progress
    (user_id, course_id, updated_at DESC);

-- wave: 1
-- replaces: course_goal_assignments_goal_id_idx
CREATE INDEX idx_course_goal_assignments_goal_course ON public.course_goal_assignments
    (goal_id, course_id) INCLUDE (created_at);

-- wave: 1
-- replaces: course_track_assignments_track_id_idx
CREATE INDEX idx_course_track_assignments_track_course ON public.course_track_assignments
    (track_id, course_id) INCLUDE (created_at);

-- The same key as the index that is there, with two columns more to read from it.
-- wave: 2
-- replaces: idx_conversation_messages_timeline
CREATE INDEX idx_conversation_messages_timeline_optimized ON public.conversation_messages
    (conversation_id, target_date DESC NULLS LAST, created_at DESC)
    INCLUDE (message_type, sender_id);

-- wave: 2
-- replaces: idx_message_attachments_message
CREATE INDEX idx_message_attachments_message_type ON public.message_attachments
    (message_id, mime_type) INCLUDE (file_size);

-- wave: 2
-- replaces: idx_ai_interactions_user_course
CREATE INDEX idx_ai_interactions_student_course_time ON public.ai_interactions
    (user_id, course_id, created_at DESC) INCLUDE (interaction_type);

-- wave: 3
CREATE INDEX idx_learning_milestones_user_progress ON public.learning_milestones
    (user_id, achieved_at DESC, milestone_type) WHERE is_achieved = true;

-- wave: 3
-- replaces: idx_learning_activities_user_course
CREATE INDEX idx_learning_activities_user_course_date ON public.learning_activities
    (user_id, course_id, created_at DESC) INCLUDE (activity_type);

-- wave: 3
CREATE INDEX idx_requests_user_type_status ON public.requests
    (user_id, request_type, status, created_at DESC) WHERE status <> 'completed';
