-- proposal_analytics_summary: number, value and processing time of proposals by day and status
-- since: 15
-- One row for each UTC day of creation and status. The day does not follow the time zone of
-- the session that refreshes.
--
-- avg_processing_hours, from creation to approval, counts approved proposals alone and is null
-- where there are none: an open proposal has no processing time yet, and a declined one never
-- will, so that with the clock in their place each refresh would change every such row.
CREATE MATERIALIZED VIEW public.proposal_analytics_summary AS
SELECT
    (p.created_at AT TIME ZONE 'UTC')::date AS date,
    p.status,
    count(*) AS count,
    round(avg(p.value), 2) AS avg_value,
    sum(p.value) AS total_value,
    round(avg(extract(epoch FROM p.approved_at - p.created_at)) / 3600, 2)
        AS avg_processing_hours
FROM public.proposals AS p
GROUP BY (p.created_at AT TIME ZONE 'UTC')::date, p.status;
