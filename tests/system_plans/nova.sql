-- nova: the indexes as its plan asks for them, corrected only where they can't be built

CREATE INDEX idx_messages_sender_created ON messages
    (sender_id, created_at DESC) WHERE deleted_at IS NULL;
CREATE INDEX idx_posts_user_created ON posts
    (user_id, created_at DESC) WHERE deleted_at IS NULL;
