-- events_of_a_type: completed courses by day, over the last 30 days
-- since: 15
-- params: 'course_completed'
SELECT date_trunc('day', e."timestamp", 'UTC') AS day, count(*)
FROM public.analytics_events AS e
WHERE e.event_type = $1 AND e."timestamp" >= now() - interval '30 days'
GROUP BY 1
ORDER BY 1;
