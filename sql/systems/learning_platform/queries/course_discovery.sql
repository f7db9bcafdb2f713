-- course_discovery: published courses of a category and difficulty
-- since: 15
-- params: 'SQL', 'BEGINNER'
-- params: 'Python', 'ADVANCED'
SELECT c.id, c.title, c.tags
FROM public.courses AS c
WHERE c.status = 'PUBLISHED' AND c.category = $1 AND c.difficulty = $2;
