"""A forum: counters, notifications, membership looked up from both sides."""

from tests.advice_corpus.models import Schema, small_tables

TABLES = """
CREATE TABLE users (id int PRIMARY KEY, username text NOT NULL, username_lower text NOT NULL,
  last_seen_at timestamp, post_count int NOT NULL DEFAULT 0);
INSERT INTO users SELECT n, 'User' || n, 'user' || n, timestamp '2025-01-01' + n * interval '1 min'
  FROM generate_series(1, 5000) n;
CREATE UNIQUE INDEX index_users_on_username_lower ON users (username_lower);
CREATE INDEX index_users_on_username_lower_hash ON users USING hash (username_lower);
CREATE INDEX index_users_on_last_seen_at ON users (last_seen_at DESC NULLS LAST);

CREATE TABLE topics (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users, title text,
  bumped_at timestamp NOT NULL, views int NOT NULL DEFAULT 0, deleted_at timestamp,
  pinned_at timestamp);
INSERT INTO topics SELECT n, 1 + n % 5000, 'Topic ' || n,
  timestamp '2025-01-01' + n * interval '13 min', n % 77,
  CASE WHEN n % 30 = 0 THEN timestamp '2025-06-01' END,
  CASE WHEN n % 900 = 0 THEN timestamp '2025-06-01' END FROM generate_series(1, 20000) n;
CREATE INDEX index_topics_on_user_id ON topics (user_id) WHERE deleted_at IS NULL;
CREATE INDEX index_topics_on_user_id_all ON topics (user_id);
CREATE INDEX index_topics_on_bumped_at ON topics (bumped_at DESC);
CREATE INDEX index_topics_on_bumped_at_live ON topics (bumped_at DESC) WHERE deleted_at IS NULL;
CREATE INDEX index_topics_on_pinned_at ON topics (pinned_at) WHERE pinned_at IS NOT NULL;
CREATE INDEX index_topics_on_title_search ON topics USING gin (to_tsvector('simple', title));

CREATE TABLE posts (id int NOT NULL, topic_id int NOT NULL, post_number int NOT NULL,
  user_id int NOT NULL, reply_to int, raw text, created_at timestamp NOT NULL, like_count int);
INSERT INTO posts SELECT n, 1 + n % 20000, 1 + n / 20000, 1 + n * 3 % 5000,
  CASE WHEN n % 4 = 0 THEN n - 1 END, md5(n::text), timestamp '2025-01-01' + n * interval '3 min',
  CASE WHEN n % 10 = 0 THEN n % 40 ELSE 0 END FROM generate_series(1, 80000) n;
ALTER TABLE posts ADD PRIMARY KEY (id),
  ADD CONSTRAINT posts_topic FOREIGN KEY (topic_id) REFERENCES topics,
  ADD CONSTRAINT posts_user FOREIGN KEY (user_id) REFERENCES users,
  ADD CONSTRAINT posts_reply FOREIGN KEY (reply_to) REFERENCES posts;
CREATE UNIQUE INDEX index_posts_on_topic_id_and_post_number ON posts (topic_id, post_number);
CREATE INDEX index_posts_on_topic_id ON posts (topic_id);
CREATE INDEX index_posts_on_user_id_and_created_at ON posts (user_id, created_at);
CREATE INDEX index_posts_on_created_at ON posts (created_at);

CREATE TABLE notifications (id int NOT NULL, user_id int NOT NULL, read boolean NOT NULL,
  kind int NOT NULL, topic_id int, created_at timestamp NOT NULL);
INSERT INTO notifications SELECT n, 1 + n % 4000, n % 40 <> 0, n % 9, 1 + n % 20000,
  timestamp '2025-01-01' + n * interval '4 min' FROM generate_series(1, 60000) n;
ALTER TABLE notifications ADD PRIMARY KEY (id),
  ADD CONSTRAINT notifications_user FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE,
  ADD CONSTRAINT notifications_topic FOREIGN KEY (topic_id) REFERENCES topics;
CREATE INDEX index_notifications_on_user_id_and_id ON notifications (user_id, id DESC);
CREATE INDEX index_notifications_on_kind_and_topic_id ON notifications (kind, topic_id);
CREATE INDEX index_notifications_unread ON notifications (user_id, kind) WHERE NOT read;
CREATE INDEX index_notifications_on_read_and_user ON notifications (read, user_id);

CREATE TABLE group_users (group_id int NOT NULL, user_id int NOT NULL REFERENCES users,
  PRIMARY KEY (group_id, user_id));
INSERT INTO group_users SELECT g, u FROM generate_series(1, 10) g, generate_series(1, 900) u;
CREATE UNIQUE INDEX index_group_users_on_user_id_and_group_id ON group_users (user_id, group_id);
CREATE INDEX index_group_users_on_group_id ON group_users (group_id);
""" + small_tables(
    """
categories: name text unique, slug text+
tags: name text unique
topic_tags*300: tag_id>tags, n int
badges: name text unique
badge_groupings: name text
user_badges*300: badge_id>badges, granted_at timestamp+
post_action_types: name text unique
post_actions*300: post_action_type_id>post_action_types, created_at timestamp+
drafts: draft_key text unique, data jsonb
user_stats*400: time_read int, topics_entered int
themes: name text
theme_fields*100: theme_id>themes, value text
site_settings: name text unique, value text
web_hooks: payload_url text
web_hook_events*200: web_hook_id>web_hooks, created_at timestamp+
topic_views*300: viewed_at date+, ip_address text
schema_migrations*0: version text unique
ar_internal_metadata*1: value text
""",
    index="index_{table}_on_{column}",
)

QUERIES = (
    "SELECT id FROM users WHERE username_lower = 'user77'",
    "SELECT id FROM users ORDER BY last_seen_at DESC NULLS LAST LIMIT 10",
    "SELECT id FROM topics WHERE user_id = 8 AND deleted_at IS NULL",
    "SELECT id FROM topics WHERE deleted_at IS NULL ORDER BY bumped_at DESC LIMIT 30",
    "SELECT id FROM topics ORDER BY bumped_at DESC LIMIT 30",
    "SELECT id FROM topics WHERE pinned_at IS NOT NULL ORDER BY pinned_at",
    "SELECT id FROM topics WHERE to_tsvector('simple', title) @@ to_tsquery('simple', '77')",
    "SELECT raw FROM posts WHERE topic_id = 78 ORDER BY post_number LIMIT 20",
    "SELECT count(*) FROM posts WHERE topic_id = 79",
    "SELECT id FROM posts WHERE user_id = 31 AND created_at > '2025-03-01' ORDER BY created_at",
    "SELECT id FROM notifications WHERE user_id = 5 ORDER BY id DESC LIMIT 10",
    "SELECT id FROM notifications WHERE user_id = 41 AND kind = 4 AND NOT read",
    "SELECT id FROM notifications WHERE kind = 3 AND topic_id = 80",
    "SELECT group_id FROM group_users WHERE user_id = 55",
    "SELECT count(*) FROM group_users WHERE group_id = 3",
    "SELECT id FROM user_badges WHERE badge_id = 5",
)

SCHEMA = Schema(
    "forum",
    TABLES,
    QUERIES,
    writes=(
        "DELETE FROM posts WHERE id > 79990",
        "INSERT INTO topics VALUES (30001, 1, 'spam', now()), (30002, 1, 'spam', now())",
        "DELETE FROM topics WHERE id > 30000",
        "INSERT INTO users VALUES (6001, 'Spam', 'spam')",
        "DELETE FROM users WHERE id = 6001",
    ),
    superfluous=frozenset({"index_posts_on_topic_id", "index_group_users_on_group_id"}),
    unindexed=frozenset({"posts.posts_reply"}),
    skip_scanned=frozenset({"notifications.notifications_topic"}),
    kept=frozenset(
        {
            "index_topics_on_user_id",
            "index_topics_on_user_id_all",
            "index_topics_on_bumped_at",
            "index_topics_on_bumped_at_live",
            "index_notifications_unread",
            "index_notifications_on_user_id_and_id",
            "index_group_users_on_user_id_and_group_id",
        }
    ),
)
