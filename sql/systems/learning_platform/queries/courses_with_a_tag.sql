-- courses_with_a_tag: published courses with all of some tags
-- since: 15
-- params: '{ai,intermediate,sql}'
-- params: '{spanish}'
SELECT c.id, c.title
FROM public.courses AS c
WHERE c.status = 'PUBLISHED' AND c.tags @> $1;
