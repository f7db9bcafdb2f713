-- recently_watched_lessons: newest 50 lessons that somebody watched
-- since: 15
SELECT l."progressId", l."lessonId", l."lastWatchedAt"
FROM public.lesson_progress AS l
WHERE l."lastWatchedAt" IS NOT NULL
ORDER BY l."lastWatchedAt" DESC
LIMIT 50;
