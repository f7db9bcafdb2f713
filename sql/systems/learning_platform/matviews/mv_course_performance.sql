-- mv_course_performance: how many users each course has, how many complete it, how far they are
-- since: 15
-- One row a course, courses without enrollments too: those have 0 users, and null as their
-- completion rate and progress, since there is nothing to divide by.
CREATE MATERIALIZED VIEW public.mv_course_performance AS
SELECT
    c.id AS course_id,
    count(DISTINCT e.user_id) AS total_enrollments,
    round(
        100.0 * count(DISTINCT e.user_id) FILTER (WHERE e.status = 'COMPLETED')
        / nullif(count(DISTINCT e.user_id), 0),
        2
    ) AS completion_rate_percent,
    round(avg(e.progress::numeric), 2) AS average_progress
FROM public.courses AS c
LEFT JOIN public.enrollments AS e ON e.course_id = c.id
GROUP BY c.id;
