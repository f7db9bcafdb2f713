-- events_of_a_user: newest 50 results of a user's tests
-- since: 15
-- params: 'usr_0008'
-- params: 'usr_0080'
SELECT e."timestamp", e.hypothesis, e.target_value, e.actual_value
FROM public.hypothesis_validation_events AS e
WHERE e.user_id = $1
ORDER BY e."timestamp" DESC
LIMIT 50;
