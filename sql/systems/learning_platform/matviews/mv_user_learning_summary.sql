-- mv_user_learning_summary: what each user has enrolled in, completed, and how engaged they are
-- since: 15
-- One row a user, users without enrollments too.
--
-- engagement_score, from 0 to 100, is the mean progress over all courses that a user began, in
-- percent, and 10 points more for each course completed: how far they get with what they begin,
-- and whether they come back. Users without an enrollment have 0. It counts from the rows alone,
-- not from the clock, so that nothing changes between two refreshes unless a row did; and in
-- numeric, whose sums do not depend on the order in which parallel workers deliver them.
--
-- avg_completion_progress is null where no course is completed.
CREATE MATERIALIZED VIEW public.mv_user_learning_summary AS
SELECT
    u.id AS user_id,
    count(DISTINCT e.course_id) AS total_enrollments,
    count(DISTINCT e.course_id) FILTER (WHERE e.status = 'COMPLETED') AS completed_courses,
    round(avg(e.progress::numeric) FILTER (WHERE e.status = 'COMPLETED'), 2)
        AS avg_completion_progress,
    least(
        100,
        coalesce(round(avg(e.progress::numeric), 2), 0)
        + 10 * count(DISTINCT e.course_id) FILTER (WHERE e.status = 'COMPLETED')
    ) AS engagement_score
FROM public.users AS u
LEFT JOIN public.enrollments AS e ON e.user_id = u.id
GROUP BY u.id;
