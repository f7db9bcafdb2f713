-- newest_baseline: newest baseline of a metric
-- since: 15
-- params: 'H1', 'error_rate'
-- params: 'H8', 'time_to_offer'
SELECT b.baseline_value, b.collection_date
FROM public.performance_baselines AS b
WHERE b.hypothesis = $1 AND b.metric_name = $2
ORDER BY b.collection_date DESC
LIMIT 1;
