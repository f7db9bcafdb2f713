-- enrollment_in_a_course: enrollment of a user in a course
-- since: 15
-- params: 'usr_000001', 'crs_0002'
-- params: 'usr_000001', 'crs_0123'
SELECT e.id, e.status, e.progress
FROM public.enrollments AS e
WHERE e.user_id = $1 AND e.course_id = $2;
