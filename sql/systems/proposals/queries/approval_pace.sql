-- approval_pace: how long approvals took, month by month
-- since: 15
SELECT
    date_trunc('month', v.date::timestamp)::date AS month,
    sum(v.count) AS approved,
    round(sum(v.avg_processing_hours * v.count) / sum(v.count), 2) AS avg_processing_hours
FROM public.proposal_analytics_summary AS v
WHERE v.avg_processing_hours IS NOT NULL
GROUP BY date_trunc('month', v.date::timestamp)
ORDER BY month DESC;
