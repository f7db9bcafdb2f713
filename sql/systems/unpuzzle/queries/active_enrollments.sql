-- active_enrollments: active enrollments of a user, the one used last first
-- since: 15
-- params: '00000000-0000-0000-0000-000000000001'
-- params: '00000000-0000-0000-0000-000000000009'
SELECT e.course_id, e.progress_percent, e.last_accessed_at
FROM public.enrollments AS e
WHERE e.user_id = $1 AND e.status = 'active'
ORDER BY e.last_accessed_at DESC;
