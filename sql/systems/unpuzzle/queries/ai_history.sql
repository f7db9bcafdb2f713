-- ai_history: newest 50 questions of a student to the assistant in a course
-- since: 15
-- params: '00000000-0000-0000-0000-000000000001', '00000001-0000-0000-0000-000000000001'
-- params: '00000000-0000-0000-0000-000000000009', '00000001-0000-0000-0000-000000000009'
SELECT i.created_at, i.interaction_type, i.context_type
FROM public.ai_interactions AS i
WHERE i.student_id = $1 AND i.course_id = $2
ORDER BY i.created_at DESC
LIMIT 50;
