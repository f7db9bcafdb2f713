-- nova: the indexes that message history and user timelines need
-- since: 15

-- wave: 1
-- serves: messages_of_a_sender
-- expect: 25x
CREATE INDEX idx_messages_sender_created ON public.messages (sender_id, created_at DESC)
    WHERE deleted_at IS NULL;

-- wave: 1
-- serves: posts_of_a_user
-- expect: 15x
CREATE INDEX idx_posts_user_created ON public.posts (user_id, created_at DESC)
    WHERE deleted_at IS NULL;
