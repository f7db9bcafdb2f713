-- pending_transactions: newest 50 payments that are pending
-- since: 15
-- params: 'PENDING'
SELECT t.id, t."courseId", t.amount, t.status, t."createdAt", t."userId"
FROM public.transactions AS t
WHERE t.status = $1
ORDER BY t."createdAt" DESC
LIMIT 50;
