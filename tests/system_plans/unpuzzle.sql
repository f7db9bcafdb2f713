-- unpuzzle: the indexes as its plan asks for them, corrected only where they can't be built

CREATE INDEX idx_video_progress_student_course_completion ON video_progress
    (student_id, course_id, completed, last_watched_at DESC) WHERE completed = true;
CREATE INDEX idx_enrollments_user_progress_active ON enrollments
    (user_id, progress_percent, last_accessed_at DESC) WHERE status = 'active';
CREATE INDEX idx_course_goal_assignments_goal_course ON course_goal_assignments
    (goal_id, course_id) INCLUDE (created_at, status);
CREATE INDEX idx_course_track_assignments_track_course ON course_track_assignments
    (track_id, course_id) INCLUDE (assignment_order, created_at);
CREATE INDEX idx_conversation_messages_timeline_optimized ON conversation_messages
    (conversation_id, target_date DESC NULLS LAST, created_at DESC)
    INCLUDE (message_type, sender_id);
CREATE INDEX idx_message_attachments_message_type ON message_attachments
    (message_id, file_type) INCLUDE (file_url, file_size);
CREATE INDEX idx_ai_interactions_student_course_time ON ai_interactions
    (student_id, course_id, created_at DESC) INCLUDE (interaction_type, context_type);
CREATE INDEX idx_learning_milestones_user_progress ON learning_milestones
    (user_id, achieved_at DESC, milestone_type) WHERE achieved = true;
CREATE INDEX idx_learning_activities_user_course_date ON learning_activities
    (user_id, course_id, created_at DESC) INCLUDE (activity_type, points_earned);
CREATE INDEX idx_requests_user_type_status ON requests
    (user_id, request_type, status, created_at DESC) WHERE status <> 'completed';
