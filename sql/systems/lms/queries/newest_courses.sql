-- newest_courses: newest 20 courses, published or not
-- since: 15
SELECT c.id, c.slug, c.title, c.difficulty, c.price, c."createdAt"
FROM public.courses AS c
ORDER BY c."createdAt" DESC
LIMIT 20;
