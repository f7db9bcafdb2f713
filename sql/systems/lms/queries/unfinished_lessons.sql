-- unfinished_lessons: lessons that a user has not finished in a course
-- since: 15
-- params: 'prg_000001'
-- params: 'prg_000300'
SELECT l."lessonId", l."watchTimeSeconds"
FROM public.lesson_progress AS l
WHERE l."progressId" = $1 AND l.completed = false;
