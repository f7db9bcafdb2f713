-- modules_of_a_course: modules of a course, in their order
-- since: 15
-- params: 'crs_00001'
SELECT m.id, m."order", m.duration
FROM public.course_modules AS m
WHERE m."courseId" = $1
ORDER BY m."order";
