-- courses_of_a_difficulty: published courses of one difficulty
-- since: 15
-- params: 'EXPERT'
-- params: 'BEGINNER'
SELECT c.id, c.slug, c.title, c.difficulty, c.price, c."createdAt"
FROM public.courses AS c
WHERE c.published = true AND c.difficulty = $1;
