-- course_substring_search: first 20 published courses with one of two texts in title or description
-- since: 15
-- params: '%ai%', '%machine learning%'
SELECT c.id, c.slug, c.title, c.difficulty, c.price, c."createdAt"
FROM public.courses AS c
WHERE c.published = true AND (c.title ILIKE $1 OR c.description ILIKE $2)
ORDER BY c.featured DESC, c."createdAt" DESC
LIMIT 20;
