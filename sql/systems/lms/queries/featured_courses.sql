-- featured_courses: courses of the home page, newest first
-- since: 15
SELECT c.id, c.slug, c.title, c.difficulty, c.price, c."createdAt"
FROM public.courses AS c
WHERE c.published = true AND c.featured = true
ORDER BY c."createdAt" DESC;
