-- achieved_milestones: milestones that a user has achieved, newest first
-- since: 15
-- params: '00000000-0000-0000-0000-000000000001'
-- params: '00000000-0000-0000-0000-000000000009'
SELECT m.milestone_type, m.course_id, m.achieved_at
FROM public.learning_milestones AS m
WHERE m.user_id = $1 AND m.achieved = true
ORDER BY m.achieved_at DESC;
