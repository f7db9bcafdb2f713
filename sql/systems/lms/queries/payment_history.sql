-- payment_history: newest ten payments of a user
-- since: 15
-- params: 'usr_000101'
-- params: 'usr_000102'
SELECT t.id, t."courseId", t.amount, t.status, t."createdAt"
FROM public.transactions AS t
WHERE t."userId" = $1
ORDER BY t."createdAt" DESC
LIMIT 10;
