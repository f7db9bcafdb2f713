-- count_users_of_a_role: how many users have a role
-- since: 15
-- params: 'INSTRUCTOR'
-- params: 'ADMIN'
SELECT count(*)
FROM public.users AS u
WHERE u.role = $1;
