-- messages_of_a_sender: newest 50 messages of a sender that are not deleted
-- since: 15
-- params: '00000000-0000-0000-0000-000000000001'
-- params: '00000000-0000-0000-0000-000000000014'
-- params: '00000000-0000-0000-0000-0000000000c8'
SELECT m.id, m.sender_id, m.content, m.created_at
FROM public.messages AS m
WHERE m.sender_id = $1 AND m.deleted_at IS NULL
ORDER BY m.created_at DESC
LIMIT 50;
