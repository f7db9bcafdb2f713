-- proposals_of_a_customer: proposals of a customer in one status, newest first
-- since: 15
-- params: 'ACCEPTED', 'cus_00000'
-- params: 'DECLINED', 'cus_00005'
SELECT p.id, p.title, p.value, p.created_at
FROM public.proposals AS p
WHERE p.status = $1 AND p.customer_id = $2
ORDER BY p.created_at DESC;
