-- recently_active_students: newest 50 courses that somebody was in
-- since: 15
SELECT p."userId", p."courseId", p."lastAccessedAt"
FROM public.course_progress AS p
WHERE p."lastAccessedAt" IS NOT NULL
ORDER BY p."lastAccessedAt" DESC
LIMIT 50;
