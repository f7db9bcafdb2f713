-- progress_in_a_lesson: whether a user has done a lesson, as each update of progress asks
-- since: 15
-- params: 'usr_000001', 'les_0002_00'
-- params: 'usr_000001', 'les_0123_00'
SELECT p.id
FROM public.progress AS p
WHERE p.user_id = $1 AND p.lesson_id = $2;
