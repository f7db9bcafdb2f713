-- stalled_students: 100 courses that somebody began and left longest ago, at least 30 days
-- since: 15
-- Timestamps are in UTC without saying so, and so must be the time they are compared with.
SELECT p."userId", p."courseId", p."progressPercent", p."lastAccessedAt"
FROM public.course_progress AS p
WHERE p."lastAccessedAt" < (now() AT TIME ZONE 'UTC') - interval '30 days'
    AND p."progressPercent" < 100
ORDER BY p."lastAccessedAt"
LIMIT 100;
