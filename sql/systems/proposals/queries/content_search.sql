-- content_search: active content of a type and category, newest first
-- since: 15
-- params: 'TEXT', 'legal'
-- params: 'IMAGE', 'pricing'
SELECT c.id, c.title, c.created_at
FROM public.content AS c
WHERE c.type = $1 AND c.is_active = true AND c.category = $2
ORDER BY c.created_at DESC
LIMIT 20;
