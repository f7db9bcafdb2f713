-- unfinished_videos: videos of a course that a student has begun, newest first
-- since: 15
-- params: '00000000-0000-0000-0000-000000000001', '00000001-0000-0000-0000-000000000001'
-- params: '00000000-0000-0000-0000-000000000009', '00000001-0000-0000-0000-000000000009'
SELECT p.video_id, p.progress_percent, p.last_watched_at
FROM public.video_progress AS p
WHERE p.student_id = $1 AND p.course_id = $2 AND p.completed = false
ORDER BY p.last_watched_at DESC;
