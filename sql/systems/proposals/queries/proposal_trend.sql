-- proposal_trend: proposals made and their value, day by day over the newest 90 days with any
-- since: 15
SELECT v.date, sum(v.count) AS proposals, sum(v.total_value) AS total_value
FROM public.proposal_analytics_summary AS v
GROUP BY v.date
ORDER BY v.date DESC
LIMIT 90;
