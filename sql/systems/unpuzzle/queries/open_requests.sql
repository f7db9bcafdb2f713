-- open_requests: pending requests of a user of one type, newest first
-- since: 15
-- The status is in the text: with a parameter in its place, the index on open requests is not used.
-- params: '00000000-0000-0000-0000-000000000001', 'bug_report'
-- params: '00000000-0000-0000-0000-000000000009', 'refund'
SELECT r.id, r.status, r.created_at
FROM public.requests AS r
WHERE r.user_id = $1 AND r.request_type = $2 AND r.status = 'pending'
ORDER BY r.created_at DESC;
