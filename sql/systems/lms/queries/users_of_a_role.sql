-- users_of_a_role: all users of a role, newest first
-- since: 15
-- params: 'INSTRUCTOR'
SELECT u.id, u.email, u."createdAt"
FROM public.users AS u
WHERE u.role = $1
ORDER BY u."createdAt" DESC;
