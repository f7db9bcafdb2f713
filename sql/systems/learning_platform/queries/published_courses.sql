-- published_courses: next ten published courses after a cursor
-- since: 15
-- params: ''
-- params: 'crs_0020'
SELECT c.id, c.title, c.category, c.difficulty
FROM public.courses AS c
WHERE c.status = 'PUBLISHED' AND c.id > $1
ORDER BY c.id
LIMIT 10;
