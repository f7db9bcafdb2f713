-- stale_course_analytics: 20 courses whose numbers are the oldest
-- since: 15
SELECT a."courseId", a."lastCalculatedAt"
FROM public.course_analytics AS a
ORDER BY a."lastCalculatedAt"
LIMIT 20;
