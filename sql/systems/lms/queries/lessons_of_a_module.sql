-- lessons_of_a_module: lessons of a module, in their order
-- since: 15
-- params: 'mod_00001_1'
SELECT l.id, l."order", l.duration
FROM public.lessons AS l
WHERE l."moduleId" = $1
ORDER BY l."order";
