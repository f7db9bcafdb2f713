-- course_search: first 20 published courses that match what a user typed, best first
-- since: 15
-- Needs courses.search_vector, which indexes.sql adds. to_tsquery in its place fails on what
-- users type. It finds whole words; course_substring_search finds parts of words too.
-- params: 'machine learning'
-- params: 'python 16'
SELECT c.id, c.slug, c.title
FROM public.courses AS c
WHERE c.published = true AND c.search_vector @@ websearch_to_tsquery('english', $1)
ORDER BY ts_rank(c.search_vector, websearch_to_tsquery('english', $1)) DESC
LIMIT 20;
