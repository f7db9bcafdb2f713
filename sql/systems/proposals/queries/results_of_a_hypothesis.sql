-- results_of_a_hypothesis: measured results of a user's tests of one hypothesis, newest first
-- since: 15
-- params: 'H7', 'usr_0008'
-- params: 'H1', 'usr_0080'
SELECT e."timestamp", e.target_value, e.actual_value
FROM public.hypothesis_validation_events AS e
WHERE e.hypothesis = $1 AND e.user_id = $2 AND e.actual_value IS NOT NULL
ORDER BY e."timestamp" DESC;
