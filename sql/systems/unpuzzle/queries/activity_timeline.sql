-- activity_timeline: newest 50 activities of a user in a course
-- since: 15
-- params: '00000000-0000-0000-0000-000000000001', '00000001-0000-0000-0000-000000000001'
-- params: '00000000-0000-0000-0000-000000000009', '00000001-0000-0000-0000-000000000009'
SELECT a.created_at, a.activity_type, a.points_earned
FROM public.learning_activities AS a
WHERE a.user_id = $1 AND a.course_id = $2
ORDER BY a.created_at DESC
LIMIT 50;
