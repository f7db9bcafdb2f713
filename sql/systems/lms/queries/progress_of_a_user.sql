-- progress_of_a_user: courses of a user, the one used last first
-- since: 15
-- params: 'usr_000101'
-- params: 'usr_000102'
SELECT p."courseId", p."progressPercent", p."lastAccessedAt"
FROM public.course_progress AS p
WHERE p."userId" = $1
ORDER BY p."lastAccessedAt" DESC;
