-- attachments_of_a_conversation: attachments of one type to the newest 50 messages of it
-- since: 15
-- params: '00000005-0000-0000-0000-000000000001', 'image/png'
-- params: '00000005-0000-0000-0000-000000000014', 'application/pdf'
SELECT m.id, m.created_at, a.file_size, a.file_url
FROM (
    SELECT n.id, n.created_at
    FROM public.conversation_messages AS n
    WHERE n.conversation_id = $1
    ORDER BY n.target_date DESC NULLS LAST, n.created_at DESC
    LIMIT 50
) AS m
JOIN public.message_attachments AS a ON a.message_id = m.id
WHERE a.file_type = $2;
