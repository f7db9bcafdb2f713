-- engaged_learners: the most engaged active users, for the administrators' dashboard
-- since: 15
SELECT u.id, u.first_name, u.last_name, v.completed_courses, v.engagement_score
FROM public.mv_user_learning_summary AS v
JOIN public.users AS u ON u.id = v.user_id
WHERE u.is_active
ORDER BY v.engagement_score DESC, v.completed_courses DESC, u.id
LIMIT 50;
