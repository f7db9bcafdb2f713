-- open_issues: newest 20 open issues of one kind and severity
-- since: 15
-- params: 'PROPOSAL', 'CRITICAL'
-- params: 'PRODUCT', 'ERROR'
SELECT i.id, i.proposal_id, i.detected_at
FROM public.validation_issues AS i
WHERE i.entity_type = $1 AND i.severity = $2 AND i.status = 'OPEN'
ORDER BY i.detected_at DESC
LIMIT 20;
