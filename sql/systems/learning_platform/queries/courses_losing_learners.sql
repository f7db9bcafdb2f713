-- courses_losing_learners: well attended courses that few complete, for their instructors
-- since: 15
SELECT c.id, c.title, v.total_enrollments, v.completion_rate_percent
FROM public.mv_course_performance AS v
JOIN public.courses AS c ON c.id = v.course_id
WHERE v.total_enrollments >= 10
ORDER BY v.completion_rate_percent, c.id
LIMIT 20;
