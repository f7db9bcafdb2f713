-- courses_of_a_track: courses of a track, in their order
-- since: 15
-- params: '00000004-0000-0000-0000-000000000001'
-- params: '00000004-0000-0000-0000-00000000000a'
SELECT a.course_id, a.assignment_order, a.created_at
FROM public.course_track_assignments AS a
WHERE a.track_id = $1
ORDER BY a.assignment_order;
