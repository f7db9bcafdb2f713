-- members_of_an_organization: active users of an organization with one role
-- since: 15
-- params: 'org_0001', 'INSTRUCTOR'
-- params: 'org_0000', 'ADMIN'
SELECT u.id, u.first_name, u.last_name
FROM public.users AS u
WHERE u.organization_id = $1 AND u.role = $2 AND u.is_active = true;
