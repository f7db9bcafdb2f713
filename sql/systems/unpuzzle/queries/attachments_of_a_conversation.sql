-- attachments_of_a_conversation: attachments of one type in a conversation
-- since: 15
-- params: '00000005-0000-0000-0000-000000000001', 'image/png'
-- params: '00000005-0000-0000-0000-000000000014', 'application/pdf'
SELECT m.id, m.created_at, a.file_size, a.file_url
FROM public.conversation_messages AS m
JOIN public.message_attachments AS a ON a.message_id = m.id
WHERE m.conversation_id = $1 AND a.file_type = $2
ORDER BY m.created_at DESC;
