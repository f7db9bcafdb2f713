-- recalculate_course_analytics: the row of each course whose id is in the keys, computed anew
-- since: 15
-- One idempotent upsert: running it twice, or for too many courses, does no harm. Rows are locked
-- in the order of their keys, so that two of these can't deadlock. A course without enrollments
-- has 0 as its completion rate, which must not be null. The time is that of the beginning, since
-- what happens later is not counted.
INSERT INTO public.course_analytics AS a (
    "courseId", "totalEnrollments", "activeEnrollments", "completionRate", "totalRevenue",
    "lastCalculatedAt"
)
SELECT
    c.id,
    e.total,
    e.active,
    coalesce(100.0 * e.completed / nullif(e.total, 0), 0),
    t.revenue,
    date_trunc('milliseconds', now()) AT TIME ZONE 'UTC'
FROM public.courses AS c
CROSS JOIN LATERAL (
    SELECT
        count(*) AS total,
        count(*) FILTER (WHERE n.status = 'ACTIVE') AS active,
        count(*) FILTER (WHERE n.status = 'COMPLETED') AS completed
    FROM public.enrollments AS n
    WHERE n."courseId" = c.id
) AS e
CROSS JOIN LATERAL (
    SELECT coalesce(sum(n.amount), 0) AS revenue
    FROM public.transactions AS n
    WHERE n."courseId" = c.id AND n.status = 'COMPLETED'
) AS t
WHERE c.id = ANY (%(keys)s)
ORDER BY c.id
ON CONFLICT ("courseId") DO UPDATE SET
    "totalEnrollments" = excluded."totalEnrollments",
    "activeEnrollments" = excluded."activeEnrollments",
    "completionRate" = excluded."completionRate",
    "totalRevenue" = excluded."totalRevenue",
    "lastCalculatedAt" = excluded."lastCalculatedAt";
