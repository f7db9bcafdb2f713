-- active_enrollments: active enrollments of a user
-- since: 15
-- params: 'usr_000001'
-- params: 'usr_000700'
SELECT e.course_id, e.progress
FROM public.enrollments AS e
WHERE e.user_id = $1 AND e.status = 'ACTIVE';
