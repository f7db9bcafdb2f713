-- conversation_timeline: newest 50 messages of a conversation, by the day they are meant for
-- since: 15
-- params: '00000005-0000-0000-0000-000000000001'
-- params: '00000005-0000-0000-0000-000000000014'
SELECT m.id, m.sender_id, m.message_type, m.content, m.target_date, m.created_at
FROM public.conversation_messages AS m
WHERE m.conversation_id = $1
ORDER BY m.target_date DESC NULLS LAST, m.created_at DESC
LIMIT 50;
