"""A Rails application: polymorphic pairs, soft deletion, an index for each reference."""

from tests.advice_corpus.models import Schema, small_tables

TABLES = """
CREATE TABLE users (id bigint PRIMARY KEY, email varchar NOT NULL, reset_password_token varchar,
  type varchar, created_at timestamp NOT NULL, deleted_at timestamp);
INSERT INTO users SELECT n, 'u' || n || '@example.com', CASE WHEN n % 90 = 0 THEN md5(n::text) END,
  CASE WHEN n % 2000 = 0 THEN 'Admin' ELSE 'Member' END,
  timestamp '2025-01-01' + n * interval '5 min', CASE WHEN n % 70 = 0 THEN now() END
  FROM generate_series(1, 20000) n;
CREATE UNIQUE INDEX index_users_on_email ON users (email) WHERE deleted_at IS NULL;
CREATE INDEX index_users_on_lower_email ON users (lower(email));
CREATE UNIQUE INDEX index_users_on_reset_password_token ON users (reset_password_token);
CREATE INDEX index_users_on_deleted_at ON users (deleted_at);
CREATE INDEX index_users_on_type ON users (type);

CREATE TABLE articles (id bigint PRIMARY KEY, user_id bigint NOT NULL, slug varchar NOT NULL,
  status int NOT NULL, comments_count int NOT NULL DEFAULT 0, created_at timestamp NOT NULL);
INSERT INTO articles SELECT n, 1 + n % 20000, 'article-' || n,
  CASE WHEN n % 40 = 0 THEN 0 ELSE 1 END, n % 9,
  timestamp '2025-01-01' + n * interval '5 min' FROM generate_series(1, 20000) n;
ALTER TABLE articles ADD CONSTRAINT fk_rails_articles_user FOREIGN KEY (user_id) REFERENCES users;
CREATE INDEX index_articles_on_user_id ON articles (user_id);
CREATE UNIQUE INDEX index_articles_on_slug ON articles (slug);
CREATE INDEX index_articles_drafts ON articles (user_id, created_at) WHERE status = 0;
CREATE INDEX index_articles_published ON articles (user_id, created_at) WHERE status = 1;

CREATE TABLE comments (id bigint NOT NULL, commentable_type varchar NOT NULL,
  commentable_id bigint NOT NULL, user_id bigint NOT NULL, body text, created_at timestamp NOT NULL,
  deleted_at timestamp);
INSERT INTO comments SELECT n, CASE WHEN n % 5 = 0 THEN 'Photo' ELSE 'Article' END, 1 + n % 15000,
  1 + n % 20000, 'body', timestamp '2025-01-01' + n * interval '5 min',
  CASE WHEN n % 25 = 0 THEN now() END FROM generate_series(1, 60000) n;
ALTER TABLE comments ADD PRIMARY KEY (id),
  ADD CONSTRAINT fk_rails_comments_user FOREIGN KEY (user_id) REFERENCES users;
CREATE INDEX index_comments_on_commentable ON comments (commentable_type, commentable_id);
CREATE INDEX index_comments_on_commentable_type ON comments (commentable_type);
CREATE INDEX index_comments_on_commentable_id_and_type ON comments
  (commentable_id, commentable_type);
CREATE INDEX index_comments_on_user_id ON comments (user_id);
CREATE INDEX index_comments_on_created_at ON comments (created_at);
CREATE INDEX index_comments_on_deleted_at ON comments (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE versions (id bigint NOT NULL, item_type varchar NOT NULL, item_id bigint NOT NULL,
  event varchar NOT NULL, whodunnit varchar, object jsonb, created_at timestamp NOT NULL);
INSERT INTO versions SELECT n, (ARRAY['Article', 'User', 'Comment'])[1 + n % 3], n % 20000,
  'update', 'u' || n % 300, '{}', timestamp '2025-01-01' + n * interval '4 min'
  FROM generate_series(1, 60000) n;
ALTER TABLE versions ADD PRIMARY KEY (id);
CREATE INDEX index_versions_on_item_type_and_item_id ON versions (item_type, item_id);
CREATE INDEX index_versions_on_item_type_and_item_id_and_created_at ON versions
  (item_type, item_id, created_at);
CREATE INDEX index_versions_on_whodunnit ON versions (whodunnit);
CREATE INDEX index_versions_on_event ON versions (event);

CREATE TABLE active_storage_blobs (id bigint PRIMARY KEY, key varchar NOT NULL, filename varchar);
INSERT INTO active_storage_blobs SELECT n, md5(n::text), 'f' || n FROM generate_series(1, 5000) n;
CREATE UNIQUE INDEX index_active_storage_blobs_on_key ON active_storage_blobs (key);
CREATE TABLE active_storage_attachments (id bigint PRIMARY KEY, name varchar NOT NULL,
  record_type varchar NOT NULL, record_id bigint NOT NULL, blob_id bigint NOT NULL
  CONSTRAINT fk_rails_c3b3935057 REFERENCES active_storage_blobs);
INSERT INTO active_storage_attachments SELECT n, 'image', 'Article', n, n
  FROM generate_series(1, 5000) n;
CREATE UNIQUE INDEX index_active_storage_attachments_uniqueness ON active_storage_attachments
  (record_type, record_id, name, blob_id);
CREATE INDEX index_active_storage_attachments_on_blob_id ON active_storage_attachments (blob_id);
""" + small_tables(
    """
roles: name varchar unique
users_roles*300: role_id>roles, n int
tags: name text unique, taggings_count int
taggings*400: tag_id>tags, context text+
friendly_id_slugs*300: slug text+, sluggable_type text+
photos: title text, created_at timestamp+
albums: title text
album_photos*200: album_id>albums, photo_id>photos
subscriptions: plan text+, created_at timestamp
payments*200: subscription_id>subscriptions, created_at timestamp+
oauth_applications: uid text unique
oauth_access_tokens*300: application_id>oauth_applications, token text unique
flipper_features: key text unique
flipper_gates*100: feature_key text+, value text
delayed_jobs*0: queue text+, run_at timestamp
active_storage_variant_records*0: digest text
pghero_query_stats*200: captured_at timestamp+
schema_migrations*200: version text unique
ar_internal_metadata*1: value text
""".replace("varchar", "text"),
    index="index_{table}_on_{column}",
)

QUERIES = (
    "SELECT id FROM users WHERE email = 'u77@example.com' AND deleted_at IS NULL",
    "SELECT id FROM users WHERE lower(email) = 'u77@example.com'",
    "SELECT id FROM users WHERE deleted_at > '2025-01-01' LIMIT 5",
    "SELECT id FROM users WHERE type = 'Admin'",
    "SELECT id FROM articles WHERE user_id = 77",
    "SELECT id FROM articles WHERE slug = 'article-77'",
    "SELECT id FROM articles WHERE status = 0 AND user_id = 41 ORDER BY created_at",
    "SELECT id FROM articles WHERE status = 1 AND user_id = 42 ORDER BY created_at DESC",
    "SELECT id FROM comments WHERE commentable_type = 'Article' AND commentable_id = 77",
    "SELECT id FROM comments WHERE commentable_id = 79",
    "SELECT id FROM comments WHERE user_id = 77",
    "SELECT id FROM versions WHERE item_type = 'User' AND item_id = 77",
    "SELECT id FROM versions WHERE item_type = 'User' AND item_id = 76 ORDER BY created_at LIMIT 1",
    "SELECT id FROM versions WHERE whodunnit = 'u7'",
    "SELECT id FROM active_storage_attachments WHERE record_type = 'Article' AND record_id = 7",
    "SELECT id FROM taggings WHERE tag_id = 7",
)

SCHEMA = Schema(
    "rails",
    TABLES,
    QUERIES,
    writes=(
        "DELETE FROM comments WHERE id > 59990",
        "INSERT INTO users VALUES (30001, 'gone', NULL, 'Member', now())",
        "DELETE FROM users WHERE id = 30001",
    ),
    superfluous=frozenset(
        {"index_versions_on_item_type_and_item_id", "index_comments_on_commentable_type"}
    ),
    kept=frozenset(
        {
            "index_users_on_email",
            "index_users_on_lower_email",
            "index_users_on_type",
            "index_articles_on_user_id",
            "index_articles_drafts",
            "index_articles_published",
            "index_comments_on_commentable",
            "index_comments_on_commentable_id_and_type",
            "index_comments_on_user_id",
            "index_active_storage_attachments_on_blob_id",
        }
    ),
)
