-- login: active user of an e-mail address
-- since: 15
-- params: 'iris.rossi.0@example.org'
-- params: 'iris.meyer.1@example.org'
SELECT u.id, u.role, u.organization_id
FROM public.users AS u
WHERE u.email = $1 AND u.is_active = true;
