-- nova: rows of its tables
-- since: 15
-- params: users, messages, posts integer, now timestamptz
-- The first users write most; one message and one post in ten is deleted.

INSERT INTO users (id, email)
SELECT pg_temp.id(0, n), 'user-' || n || '@example.org'
FROM generate_series(1, %(users)s) AS n;

INSERT INTO messages (id, conversation_id, sender_id, content, created_at, deleted_at)
SELECT
    pg_temp.id('message', n),
    pg_temp.id(1, pg_temp.pick(n, 2, %(users)s)),
    pg_temp.id(0, pg_temp.pick(n, 1, %(users)s)),
    'Message ' || n || repeat(', and so on', (pg_temp.chance(n, 3) * 16)::integer),
    made.at,
    CASE WHEN pg_temp.chance(n, 4) < 0.1 THEN made.at + interval '1 hour' END
FROM generate_series(1, %(messages)s) AS n
CROSS JOIN LATERAL (
    SELECT to_timestamp(
        1704067200 + floor((extract(epoch FROM %(now)s::timestamptz) - 1704067200) * n
            / (%(messages)s + 1.0))
    ) AS at
) AS made;

INSERT INTO posts (id, user_id, content, created_at, deleted_at)
SELECT
    pg_temp.id('post', n),
    pg_temp.id(0, pg_temp.pick(n, 11, %(users)s)),
    'Post ' || n || repeat(', as seen today', (pg_temp.chance(n, 13) * 20)::integer),
    made.at,
    CASE WHEN pg_temp.chance(n, 14) < 0.1 THEN made.at + interval '1 hour' END
FROM generate_series(1, %(posts)s) AS n
CROSS JOIN LATERAL (
    SELECT to_timestamp(
        1704067200 + floor((extract(epoch FROM %(now)s::timestamptz) - 1704067200) * n
            / (%(posts)s + 1.0))
    ) AS at
) AS made;
