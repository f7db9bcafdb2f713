-- course_dashboard: published courses with most users, for the catalogue's front page
-- since: 15
SELECT c.title, c.category, v.total_enrollments, v.completion_rate_percent, v.average_progress
FROM public.mv_course_performance AS v
JOIN public.courses AS c ON c.id = v.course_id
WHERE c.status = 'PUBLISHED'
ORDER BY v.total_enrollments DESC, c.id
LIMIT 20;
