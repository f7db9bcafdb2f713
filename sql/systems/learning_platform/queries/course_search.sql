-- course_search: published courses that match what a user typed
-- since: 15
-- The expression is that of the index, to the letter: another one would not use it.
-- params: 'python'
-- params: 'statistics -advanced'
SELECT c.id, c.title
FROM public.courses AS c
WHERE c.status = 'PUBLISHED'
    AND to_tsvector('english', coalesce(c.title, '') || ' ' || coalesce(c.description, ''))
        @@ websearch_to_tsquery('english', $1)
LIMIT 20;
