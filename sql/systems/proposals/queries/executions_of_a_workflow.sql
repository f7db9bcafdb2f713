-- executions_of_a_workflow: newest 20 runs of a workflow in one status
-- since: 15
-- params: 'COMPLETED', 'wfl_1'
-- params: 'ESCALATED', 'wfl_3'
SELECT e.id, e.proposal_id, e.started_at
FROM public.approval_executions AS e
WHERE e.status = $1 AND e.workflow_id = $2
ORDER BY e.started_at DESC
LIMIT 20;
