-- course_by_slug: a course with its modules and their lessons
-- since: 15
-- params: 'course-1'
-- params: 'course-40'
SELECT c.id, c.title, (
    SELECT json_agg(
        json_build_object('id', m.id, 'lessons', (
            SELECT json_agg(l.id ORDER BY l."order")
            FROM public.lessons AS l
            WHERE l."moduleId" = m.id
        ))
        ORDER BY m."order"
    )
    FROM public.course_modules AS m
    WHERE m."courseId" = c.id
) AS modules
FROM public.courses AS c
WHERE c.slug = $1;
