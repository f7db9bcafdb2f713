-- transactions_of_a_month: payments of one month, its last day included
-- since: 15
-- params: '2025-01-01', '2025-02-01'
SELECT t.id, t."courseId", t.amount, t.status, t."createdAt", t."userId"
FROM public.transactions AS t
WHERE t."createdAt" >= $1 AND t."createdAt" < $2;
