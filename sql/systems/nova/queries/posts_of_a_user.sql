-- posts_of_a_user: newest 50 posts of a user that are not deleted
-- since: 15
-- params: '00000000-0000-0000-0000-000000000001'
-- params: '00000000-0000-0000-0000-000000000014'
-- params: '00000000-0000-0000-0000-0000000000c8'
SELECT p.id, p.user_id, p.content, p.created_at
FROM public.posts AS p
WHERE p.user_id = $1 AND p.deleted_at IS NULL
ORDER BY p.created_at DESC
LIMIT 50;
