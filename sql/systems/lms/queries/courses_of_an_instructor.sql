-- courses_of_an_instructor: courses of an instructor, the one with most revenue first
-- since: 15
-- params: 'usr_000002'
SELECT c.id, c.title, a."totalEnrollments", a."completionRate", a."totalRevenue"
FROM public.courses AS c
LEFT JOIN public.course_analytics AS a ON a."courseId" = c.id
WHERE c."instructorId" = $1
ORDER BY a."totalRevenue" DESC;
