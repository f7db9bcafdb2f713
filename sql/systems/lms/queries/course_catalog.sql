-- course_catalog: first 20 published courses of one difficulty, featured ones first
-- since: 15
-- params: 'INTERMEDIATE'
-- params: 'EXPERT'
SELECT c.id, c.slug, c.title, c.difficulty, c.price, c."createdAt", c.featured
FROM public.courses AS c
WHERE c.published = true AND c.difficulty = $1
ORDER BY c.featured DESC, c."createdAt" DESC
LIMIT 20;
