-- courses_in_a_price_range: published courses between two prices
-- since: 15
-- params: 0, 50
SELECT c.id, c.slug, c.title, c.difficulty, c.price, c."createdAt"
FROM public.courses AS c
WHERE c.published = true AND c.price BETWEEN $1 AND $2;
