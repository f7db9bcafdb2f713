-- student_dashboard: active courses of a user with progress, the one used last first
-- since: 15
-- params: 'usr_000101'
-- params: 'usr_000102'
SELECT c.id, c.title, p."progressPercent", p."completedLessons", p."totalLessons",
    p."lastAccessedAt"
FROM public.enrollments AS e
JOIN public.courses AS c ON c.id = e."courseId"
LEFT JOIN public.course_progress AS p
    ON p."userId" = e."userId" AND p."courseId" = e."courseId"
WHERE e."userId" = $1 AND e.status = 'ACTIVE'
ORDER BY p."lastAccessedAt" DESC;
