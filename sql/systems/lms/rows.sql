-- lms: rows of its tables
-- since: 15
-- params: users, courses integer, now timestamptz
-- Every hundredth user, from the first on, belongs to a company that learns a lot; the first
-- courses are the popular ones. Times are in UTC without saying so.

INSERT INTO users (id, email, role, "createdAt")
SELECT
    'usr_' || lpad(n::text, 6, '0'),
    'user-' || n || '@example.org',
    CASE WHEN n %% 400 = 3 THEN 'ADMIN' WHEN n %% 40 = 2 THEN 'INSTRUCTOR' ELSE 'STUDENT' END
        ::"Role",
    pg_temp.moment(n, 1, %(now)s) AT TIME ZONE 'UTC'
FROM generate_series(1, %(users)s) AS n;

INSERT INTO courses
    (id, slug, title, description, published, featured, difficulty, price, "instructorId",
    "createdAt")
SELECT
    'crs_' || lpad(n::text, 5, '0'),
    'course-' || n,
    about.subject || ' ' || n,
    'All about ' || about.subject || ', with ' || about.other || '.'
        || repeat(' Each lesson has a video, a text to read and a quiz.', 6 + n %% 20),
    n = 1 OR pg_temp.chance(n, 13) < 0.85,
    pg_temp.chance(n, 14) < 0.1,
    pg_temp.word(n, 15, '{BEGINNER,INTERMEDIATE,ADVANCED,EXPERT}')::"Difficulty",
    CASE WHEN pg_temp.chance(n, 16) < 0.2 THEN 0
        ELSE 20 + 10 * floor(40 * pg_temp.chance(n, 17)) - 0.1 END,
    'usr_' || lpad((2 + 40 * (pg_temp.pick(n, 18, %(users)s / 40) - 1))::text, 6, '0'),
    pg_temp.moment(n, 19, %(now)s) AT TIME ZONE 'UTC'
FROM generate_series(1, %(courses)s) AS n
CROSS JOIN LATERAL (
    SELECT
        (ARRAY['Python', 'Machine Learning', 'SQL', 'Statistics', 'Design', 'Accounting',
            'Leadership', 'Spanish'])[1 + n %% 8] AS subject,
        pg_temp.word(n, 12, ARRAY['exercises', 'AI assistance', 'machine learning', 'Spanish'])
            AS other
) AS about;

INSERT INTO course_modules (id, "courseId", "order", duration)
SELECT
    'mod_' || lpad(c::text, 5, '0') || '_' || m, 'crs_' || lpad(c::text, 5, '0'), m, 60 + 15 * m
FROM generate_series(1, %(courses)s) AS c
CROSS JOIN generate_series(1, 3) AS m;

INSERT INTO lessons (id, "moduleId", "order", duration)
SELECT 'les' || substr(m.id, 4) || '_' || l, m.id, l, 10 + 5 * l
FROM course_modules AS m
CROSS JOIN generate_series(1, 3) AS l;

INSERT INTO enrollments (id, "userId", "courseId", status, "paymentStatus", "enrolledAt")
SELECT
    'enr_' || lpad((row_number() OVER (ORDER BY u, c))::text, 6, '0'),
    'usr_' || lpad(u::text, 6, '0'),
    'crs_' || lpad(c::text, 5, '0'),
    CASE
        WHEN pg_temp.chance(u * 1000 + c, 21) < 0.35 THEN 'COMPLETED'
        WHEN pg_temp.chance(u * 1000 + c, 21) < 0.40 THEN 'CANCELLED'
        ELSE 'ACTIVE'
    END::"EnrollmentStatus",
    'COMPLETED',
    pg_temp.moment(u * 1000 + c, 22, %(now)s) AT TIME ZONE 'UTC'
FROM generate_series(1, %(users)s) AS u
CROSS JOIN LATERAL (
    SELECT DISTINCT pg_temp.pick(u * 100 + j, 23, %(courses)s)
    FROM generate_series(
        1, CASE u %% 100 WHEN 1 THEN 30 ELSE 2 + (pg_temp.chance(u, 24) * 7)::integer END
    ) AS j
) AS of_user (c);

-- Completed ones were left when they were done, of the others most are in use.
INSERT INTO course_progress
    (id, "userId", "courseId", "progressPercent", "completedLessons", "totalLessons",
    "lastAccessedAt")
SELECT
    'prg' || substr(e.id, 4), e."userId", e."courseId", p.percent, p.percent * 9 / 100, 9,
    CASE WHEN p.chance > 0.03 THEN
        greatest(
            e."enrolledAt",
            date_trunc('milliseconds', (%(now)s AT TIME ZONE 'UTC')
                - (CASE e.status WHEN 'ACTIVE' THEN 120 ELSE 500 END) * p.chance ^ 3
                * interval '1 day')
        )
    END
FROM enrollments AS e
CROSS JOIN LATERAL (SELECT substr(e.id, 5)::bigint AS n) AS numbered
CROSS JOIN LATERAL (
    SELECT
        CASE e.status WHEN 'COMPLETED' THEN 100
            ELSE floor(pg_temp.chance(n, 31) * 100)::integer END AS percent,
        pg_temp.chance(n, 32) AS chance
) AS p;

-- The lessons that are done, and the one begun after them.
INSERT INTO lesson_progress
    (id, "progressId", "lessonId", completed, "completedAt", "lastWatchedAt", "watchTimeSeconds")
SELECT
    'lpr' || substr(p.id, 4) || '_' || l.n,
    p.id,
    l.id,
    l.n <= p."completedLessons",
    CASE WHEN l.n <= p."completedLessons" THEN seen.at END,
    seen.at,
    60 * l.duration
FROM course_progress AS p
CROSS JOIN LATERAL (
    SELECT
        s.id, s.duration, row_number() OVER (ORDER BY m."order", s."order") AS n
    FROM course_modules AS m
    JOIN lessons AS s ON s."moduleId" = m.id
    WHERE m."courseId" = p."courseId"
) AS l
CROSS JOIN LATERAL (
    SELECT p."lastAccessedAt" - (p."completedLessons" + 1 - l.n) * interval '26 hours' AS at
) AS seen
WHERE l.n <= p."completedLessons" + 1;

INSERT INTO transactions
    (id, "userId", "courseId", amount, status, provider, "providerTxnId", "createdAt")
SELECT
    'txn' || substr(e.id, 4), e."userId", e."courseId", c.price,
    CASE
        WHEN t.chance < 0.9 THEN 'COMPLETED'
        WHEN t.chance < 0.915 THEN 'PENDING'
        WHEN t.chance < 0.97 THEN 'FAILED'
        ELSE 'REFUNDED'
    END::"TransactionStatus",
    'stripe',
    'pi_' || md5(e.id),
    e."enrolledAt"
FROM enrollments AS e
JOIN courses AS c ON c.id = e."courseId"
CROSS JOIN LATERAL (SELECT pg_temp.chance(substr(e.id, 5)::bigint, 41) AS chance) AS t
WHERE c.price > 0;

INSERT INTO course_analytics
    (id, "courseId", "totalEnrollments", "activeEnrollments", "completionRate", "totalRevenue",
    "lastCalculatedAt")
SELECT
    'cas_' || substr(c.id, 5), c.id, e.total, e.active,
    coalesce(100.0 * e.completed / nullif(e.total, 0), 0), t.revenue,
    date_trunc('milliseconds', (%(now)s AT TIME ZONE 'UTC')
        - 3 * pg_temp.chance(substr(c.id, 5)::bigint, 51) ^ 2 * interval '1 day')
FROM courses AS c
LEFT JOIN LATERAL (
    SELECT
        count(*) AS total,
        count(*) FILTER (WHERE n.status = 'ACTIVE') AS active,
        count(*) FILTER (WHERE n.status = 'COMPLETED') AS completed
    FROM enrollments AS n
    WHERE n."courseId" = c.id
) AS e ON true
LEFT JOIN LATERAL (
    SELECT coalesce(sum(n.amount), 0) AS revenue
    FROM transactions AS n
    WHERE n."courseId" = c.id AND n.status = 'COMPLETED'
) AS t ON true;

INSERT INTO media (id, type, provider, "createdAt")
SELECT
    'med_' || lpad(n::text, 5, '0'),
    pg_temp.word(n, 61, '{IMAGE,VIDEO,DOCUMENT}'),
    pg_temp.word(n, 62, '{cloudinary,vimeo,youtube,s3}'),
    pg_temp.moment(n, 63, %(now)s) AT TIME ZONE 'UTC'
FROM generate_series(1, 3 * %(courses)s) AS n;

INSERT INTO quizzes (id, title)
SELECT 'qui_' || lpad(n::text, 4, '0'), 'Quiz ' || n
FROM generate_series(1, %(courses)s) AS n;

INSERT INTO questions (id, "quizId")
SELECT 'que' || substr(z.id, 4) || '_' || n, z.id
FROM quizzes AS z
CROSS JOIN generate_series(1, 6) AS n;

-- Three attempts at a quiz of each user's own, of which two fail, and some at others.
INSERT INTO quiz_attempts (id, "userId", "quizId", passed, "startedAt")
SELECT
    'att_' || lpad(u::text, 6, '0') || '_' || j,
    'usr_' || lpad(u::text, 6, '0'),
    'qui_' || lpad((CASE WHEN j <= 3 THEN 1 + (u - 1) %% 100 %% %(courses)s
        ELSE pg_temp.pick(u * 100 + j, 71, %(courses)s) END)::text, 4, '0'),
    CASE WHEN j < 3 THEN false WHEN j = 3 THEN true
        WHEN pg_temp.chance(u * 100 + j, 72) < 0.05 THEN NULL
        ELSE pg_temp.chance(u * 100 + j, 72) < 0.8 END,
    pg_temp.moment(u * 100 + j, 73, %(now)s) AT TIME ZONE 'UTC'
FROM generate_series(1, %(users)s) AS u
CROSS JOIN LATERAL generate_series(
    1, CASE u %% 100 WHEN 1 THEN 40 ELSE 3 + (pg_temp.chance(u, 74) * 3)::integer END
) AS j;

INSERT INTO certificates (id, "certificateNo", "userId", "courseId", "issuedAt")
SELECT
    'crt' || substr(e.id, 4), 'C-' || substr(e.id, 5), e."userId", e."courseId",
    least(e."enrolledAt" + interval '40 days', %(now)s AT TIME ZONE 'UTC')
FROM enrollments AS e
WHERE e.status = 'COMPLETED';
