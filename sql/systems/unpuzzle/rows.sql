-- unpuzzle: rows of its tables
-- since: 15
-- params: users, courses, goals, tracks, messages, questions, requests integer, now timestamptz
-- Every user is enrolled in the course of the same number, as far as there are as many, and in
-- some popular ones; the first users do most.

INSERT INTO enrollments
    (id, user_id, course_id, progress_percent, status, enrolled_at, last_accessed_at)
SELECT
    pg_temp.id('enrollment', pair.n),
    pg_temp.id(0, pair.u),
    pg_temp.id(1, pair.c),
    pair.percent,
    CASE
        WHEN pair.percent = 100 THEN 'completed'
        WHEN pg_temp.chance(pair.n, 3) < 0.1 THEN 'dropped'
        ELSE 'active'
    END,
    pg_temp.moment(pair.n, 4, %(now)s),
    CASE WHEN pg_temp.chance(pair.n, 5) > 0.05 THEN
        greatest(
            pg_temp.moment(pair.n, 4, %(now)s),
            %(now)s - 90 * pg_temp.chance(pair.n, 6) ^ 2 * interval '1 day'
        )
    END
FROM (
    SELECT
        u, c, u * 1000 + c AS n,
        least(100, floor(pg_temp.chance(u * 1000 + c, 2) * 140))::integer AS percent
    FROM generate_series(1, %(users)s) AS u
    CROSS JOIN LATERAL (
        SELECT 1 + (u - 1) %% %(courses)s
        UNION
        SELECT pg_temp.pick(u * 100 + j, 1, %(courses)s)
        FROM generate_series(1, (pg_temp.chance(u, 0) * 9)::integer) AS j
    ) AS of_user (c)
) AS pair;

-- Twenty videos a course; of an enrollment as many rows as videos were begun. The last of them is
-- not finished, and some before it neither.
INSERT INTO video_progress
    (id, student_id, course_id, video_id, completed, progress_percent, last_watched_at)
SELECT
    pg_temp.id('progress', e.n * 100 + v),
    e.user_id,
    e.course_id,
    md5(e.course_id::text || v)::uuid,
    seen.completed,
    CASE WHEN seen.completed THEN 100
        ELSE 5 + (90 * pg_temp.chance(e.n * 100 + v, 12))::integer END,
    e.last_accessed_at - (e.videos - v) * interval '9 hours'
FROM (
    SELECT
        f.*,
        row_number() OVER (ORDER BY f.user_id, f.course_id) AS n,
        1 + f.progress_percent / 5 AS videos
    FROM enrollments AS f
    WHERE f.last_accessed_at IS NOT NULL
) AS e
CROSS JOIN LATERAL generate_series(1, least(e.videos, 20)) AS v
CROSS JOIN LATERAL (
    SELECT v < e.videos AND (e.progress_percent = 100 OR pg_temp.chance(e.n * 100 + v, 11) < 0.8)
        AS completed
) AS seen;

INSERT INTO course_goal_assignments (id, course_id, goal_id, status, created_at)
SELECT
    pg_temp.id('goal', c * 1000 + g), pg_temp.id(1, c), pg_temp.id(3, g),
    CASE WHEN pg_temp.chance(c * 1000 + g, 21) < 0.1 THEN 'archived' ELSE 'active' END,
    pg_temp.moment(c * 1000 + g, 22, %(now)s)
FROM generate_series(1, %(courses)s) AS c
CROSS JOIN LATERAL (
    SELECT DISTINCT pg_temp.pick(c * 10 + j, 23, %(goals)s) FROM generate_series(1, 8) AS j
) AS of_course (g);

INSERT INTO course_track_assignments (id, course_id, track_id, assignment_order, created_at)
SELECT
    pg_temp.id('track', c * 1000 + t), pg_temp.id(1, c), pg_temp.id(4, t),
    row_number() OVER (PARTITION BY t ORDER BY pg_temp.chance(c * 1000 + t, 31), c),
    pg_temp.moment(c * 1000 + t, 32, %(now)s)
FROM generate_series(1, %(courses)s) AS c
CROSS JOIN LATERAL (
    SELECT DISTINCT pg_temp.pick(c * 10 + j, 33, %(tracks)s) FROM generate_series(1, 6) AS j
) AS of_course (t);

-- A conversation for each user; daily notes are meant for a day.
INSERT INTO conversation_messages
    (id, conversation_id, sender_id, message_type, content, target_date, created_at)
SELECT
    pg_temp.id('message', n),
    pg_temp.id(5, made.c),
    CASE WHEN made.kind = 'instructor_response' THEN pg_temp.id(6, 1 + made.c %% 7)
        ELSE pg_temp.id(0, made.c) END,
    made.kind,
    'Message ' || n || repeat(', and so on', (pg_temp.chance(n, 43) * 16)::integer),
    CASE WHEN made.kind = 'daily_note' THEN (made.at AT TIME ZONE 'UTC')::date END,
    made.at
FROM generate_series(1, %(messages)s) AS n
CROSS JOIN LATERAL (
    SELECT
        pg_temp.pick(n, 41, %(users)s) AS c,
        pg_temp.word(
            n, 42, '{daily_note,instructor_response,activity,milestone}'
        ) AS kind,
        pg_temp.moment(n, 44, %(now)s) AS at
) AS made;

-- One URL in a hundred is signed, and long.
INSERT INTO message_attachments (id, message_id, file_type, file_url, file_size, created_at)
SELECT
    pg_temp.id('attachment', n),
    pg_temp.id('message', n),
    pg_temp.word(n, 51, '{image/png,application/pdf,image/jpeg,video/mp4,text/plain}'),
    'https://cdn.example.org/attachments/' || md5(n::text) || CASE
        WHEN pg_temp.chance(n, 53) < 0.01 THEN (
            SELECT '?signature=' || string_agg(md5(n || '.' || part), '' ORDER BY part)
            FROM generate_series(1, 45) AS part
        )
        ELSE ''
    END,
    (1000 + 2000000 * pg_temp.chance(n, 52) ^ 4)::bigint,
    pg_temp.moment(n, 44, %(now)s)
FROM generate_series(1, %(messages)s, 3) AS n;

INSERT INTO ai_interactions
    (id, student_id, course_id, interaction_type, context_type, created_at)
SELECT
    pg_temp.id('question', n),
    pg_temp.id(0, asked.u),
    pg_temp.id(1, CASE
        WHEN pg_temp.chance(n, 62) < 0.5 THEN 1 + (asked.u - 1) %% %(courses)s
        ELSE pg_temp.pick(n, 63, %(courses)s)
    END),
    pg_temp.word(n, 64, '{question,hint,explanation,quiz,summary,reflection}'),
    pg_temp.word(n, 65, '{video,lesson,course}'),
    pg_temp.moment(n, 66, %(now)s)
FROM generate_series(1, %(questions)s) AS n
CROSS JOIN LATERAL (SELECT pg_temp.pick(n, 61, %(users)s) AS u) AS asked;

INSERT INTO learning_milestones
    (id, user_id, course_id, milestone_type, achieved, achieved_at)
SELECT
    pg_temp.id('milestone', u * 100 + j),
    pg_temp.id(0, u),
    pg_temp.id(1, pg_temp.pick(u * 100 + j, 71, %(courses)s)),
    pg_temp.word(
        u * 100 + j, 72,
        '{module_completion,quiz_score,time_goal,interaction_goal,skill_mastery,course_completion}'
    ),
    j <= done.n,
    CASE WHEN j <= done.n THEN pg_temp.moment(u * 100 + j, 73, %(now)s) END
FROM generate_series(1, %(users)s) AS u
CROSS JOIN LATERAL (SELECT 1 + (pg_temp.chance(u, 74) * 14)::integer AS n) AS done
CROSS JOIN generate_series(1, 15) AS j;

INSERT INTO learning_activities
    (id, user_id, course_id, activity_type, points_earned, created_at)
SELECT
    pg_temp.id('activity', e.n * 100 + j),
    e.user_id,
    e.course_id,
    pg_temp.word(e.n * 100 + j, 81, '{quiz,checkpoint,prompt,reflection}'),
    (pg_temp.chance(e.n * 100 + j, 82) * 50)::integer,
    pg_temp.moment(e.n * 100 + j, 83, %(now)s) AT TIME ZONE 'UTC'
FROM (
    SELECT f.*, row_number() OVER (ORDER BY f.user_id, f.course_id) AS n FROM enrollments AS f
) AS e
CROSS JOIN LATERAL generate_series(1, 1 + e.progress_percent / 12) AS j;

INSERT INTO requests (id, user_id, request_type, status, created_at)
SELECT
    pg_temp.id('request', n),
    pg_temp.id(0, pg_temp.pick(n, 91, %(users)s)),
    pg_temp.word(n, 92, '{bug_report,feature_request,refund,track_change}'),
    CASE
        WHEN pg_temp.chance(n, 93) < 0.7 THEN 'completed'
        ELSE pg_temp.word(n, 94, '{pending,in_review,approved,rejected}')
    END,
    pg_temp.moment(n, 95, %(now)s)
FROM generate_series(1, %(requests)s) AS n;
