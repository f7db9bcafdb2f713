-- newest_users_of_a_role: newest 20 users of a role
-- since: 15
-- params: 'STUDENT'
-- params: 'INSTRUCTOR'
SELECT u.id, u.email, u."createdAt"
FROM public.users AS u
WHERE u.role = $1
ORDER BY u."createdAt" DESC
LIMIT 20;
