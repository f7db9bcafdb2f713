-- courses_of_a_goal: courses that lead to a goal
-- since: 15
-- params: '00000003-0000-0000-0000-000000000001'
-- params: '00000003-0000-0000-0000-000000000014'
SELECT a.course_id, a.status, a.created_at
FROM public.course_goal_assignments AS a
WHERE a.goal_id = $1;
