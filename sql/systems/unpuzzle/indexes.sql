-- unpuzzle: the indexes that its dashboards, timelines and histories need, in three waves
-- since: 15

-- Without the planned WHERE completed = true: dashboards read unfinished videos too, and an index
-- of the finished ones can't serve them.
-- wave: 1
-- serves: finished_videos, unfinished_videos
CREATE INDEX idx_video_progress_student_course_completion ON public.video_progress
    (student_id, course_id, completed, last_watched_at DESC);

-- The order that is asked for comes right after the user, or a sort remains; the planned key
-- column between them, progress_percent, is only returned.
-- wave: 1
-- serves: active_enrollments
CREATE INDEX idx_enrollments_user_progress_active ON public.enrollments
    (user_id, last_accessed_at DESC) INCLUDE (progress_percent) WHERE status = 'active';

-- wave: 1
-- serves: courses_of_a_goal
CREATE INDEX idx_course_goal_assignments_goal_course ON public.course_goal_assignments
    (goal_id, course_id) INCLUDE (created_at, status);

-- assignment_order in the key, not in INCLUDE as planned: an included column gives no order.
-- wave: 1
-- serves: courses_of_a_track
CREATE INDEX idx_course_track_assignments_track_course ON public.course_track_assignments
    (track_id, assignment_order, course_id) INCLUDE (created_at);

-- wave: 2
-- serves: conversation_timeline
CREATE INDEX idx_conversation_messages_timeline_optimized ON public.conversation_messages
    (conversation_id, target_date DESC NULLS LAST, created_at DESC)
    INCLUDE (message_type, sender_id);

-- Without the planned file_url in INCLUDE: an INSERT with a URL above 2,704 bytes would fail.
-- wave: 2
-- serves: attachments_of_a_conversation
CREATE INDEX idx_message_attachments_message_type ON public.message_attachments
    (message_id, file_type) INCLUDE (file_size);

-- wave: 2
-- serves: ai_history
CREATE INDEX idx_ai_interactions_student_course_time ON public.ai_interactions
    (student_id, course_id, created_at DESC) INCLUDE (interaction_type, context_type);

-- wave: 3
-- serves: achieved_milestones
CREATE INDEX idx_learning_milestones_user_progress ON public.learning_milestones
    (user_id, achieved_at DESC, milestone_type) WHERE achieved = true;

-- wave: 3
-- serves: activity_timeline
CREATE INDEX idx_learning_activities_user_course_date ON public.learning_activities
    (user_id, course_id, created_at DESC) INCLUDE (activity_type, points_earned);

-- Used only by queries whose text rules out completed ones, as status = 'pending' does; status = $1
-- may not.
-- wave: 3
-- serves: open_requests
CREATE INDEX idx_requests_user_type_status ON public.requests
    (user_id, request_type, status, created_at DESC) WHERE status <> 'completed';
