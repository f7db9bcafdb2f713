-- events_of_a_user: newest 50 events of a user
-- since: 15
-- params: 'usr_000001'
-- params: 'usr_000700'
SELECT e."timestamp", e.event_type, e.data
FROM public.analytics_events AS e
WHERE e.user_id = $1
ORDER BY e."timestamp" DESC
LIMIT 50;
