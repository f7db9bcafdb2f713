-- events_of_a_course: events that hold a course and a kind of device
-- since: 15
-- params: '{"courseId": "crs_0030", "device": "android"}'
SELECT count(*)
FROM public.analytics_events AS e
WHERE e.data @> $1;
