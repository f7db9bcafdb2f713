-- organization_engagement: how engaged the users of each organization are, for their managers
-- since: 15
SELECT
    o.name,
    count(*) AS users,
    round(avg(v.engagement_score), 1) AS engagement_score,
    sum(v.completed_courses) AS completed_courses
FROM public.mv_user_learning_summary AS v
JOIN public.users AS u ON u.id = v.user_id
JOIN public.organizations AS o ON o.id = u.organization_id
GROUP BY o.id
ORDER BY engagement_score DESC, o.id;
