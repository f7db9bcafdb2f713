-- nova: the indexes that message history and user timelines need
-- since: 15
-- Another index bears the name of the second one, see schema.sql.

CREATE INDEX idx_messages_sender_created ON messages
    (sender_id, created_at DESC) WHERE deleted_at IS NULL;
CREATE INDEX idx_posts_user_created ON posts
    (user_id, created_at DESC) WHERE deleted_at IS NULL;
