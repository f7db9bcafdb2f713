-- nova: the same application's tables as its public repository has them, with their indexes
-- since: 15
-- Texts have other names here, and posts have both indexes that matter: one of the name that
-- indexes.sql declares, for posts that an older column marks as deleted, and under another name
-- the very index that it declares.

CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL
);

CREATE TABLE messages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid NOT NULL,
    sender_id uuid NOT NULL,
    encrypted_content text NOT NULL,
    nonce varchar(48) NOT NULL,
    content_tsv tsvector,
    message_type varchar(20) NOT NULL DEFAULT 'text' CHECK (message_type IN ('text', 'system')),
    created_at timestamptz NOT NULL DEFAULT now(),
    edited_at timestamptz,
    deleted_at timestamptz,
    deleted_by uuid,
    CHECK ((deleted_at IS NULL) = (deleted_by IS NULL))
);

CREATE TABLE posts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    caption text,
    image_key varchar(512) NOT NULL,
    image_sizes jsonb,
    status varchar(50) NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'processing', 'published', 'failed')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    soft_delete timestamptz,
    deleted_at timestamptz,
    deleted_by uuid
);

CREATE INDEX idx_users_email ON users (email);
CREATE INDEX idx_messages_conversation_created ON messages (conversation_id, created_at DESC);
CREATE INDEX idx_messages_sender ON messages (sender_id);
CREATE INDEX idx_messages_created_at ON messages (created_at DESC);
CREATE INDEX idx_messages_active ON messages
    (conversation_id, created_at DESC) WHERE deleted_at IS NULL;
CREATE INDEX idx_messages_conversation_ts_id ON messages
    (conversation_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX idx_messages_deleted_at ON messages (deleted_at);
CREATE INDEX idx_messages_content_tsv ON messages USING gin (content_tsv);
CREATE INDEX idx_posts_user_id ON posts (user_id);
CREATE INDEX idx_posts_created_at ON posts (created_at DESC);
CREATE INDEX idx_posts_status ON posts (status);
CREATE INDEX idx_posts_deleted_at ON posts (deleted_at);
CREATE INDEX idx_posts_soft_delete ON posts (soft_delete);
CREATE INDEX idx_posts_user_created ON posts
    (user_id, created_at DESC) WHERE soft_delete IS NULL;
CREATE INDEX idx_posts_active ON posts (user_id, created_at DESC) WHERE deleted_at IS NULL;
