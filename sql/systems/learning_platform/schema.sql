-- learning_platform: the tables of a learning application, before any tuning
-- since: 15
-- Partitions, indexes and materialized views are not in here: they are made from the policy.

CREATE TABLE organizations (
    id text PRIMARY KEY,
    name text NOT NULL
);

CREATE TABLE users (
    id text PRIMARY KEY,
    email text NOT NULL,
    first_name text,
    last_name text,
    role text NOT NULL DEFAULT 'STUDENT',
    is_active boolean NOT NULL DEFAULT true,
    organization_id text REFERENCES organizations (id)
);

CREATE TABLE user_sessions (
    id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token text NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE TABLE courses (
    id text PRIMARY KEY,
    title text NOT NULL,
    description text,
    status text NOT NULL DEFAULT 'DRAFT',
    category text,
    difficulty text,
    tags text[] NOT NULL DEFAULT '{}'
);

CREATE TABLE modules (
    id text PRIMARY KEY,
    course_id text NOT NULL REFERENCES courses (id),
    title text NOT NULL,
    position integer NOT NULL
);

CREATE TABLE lessons (
    id text PRIMARY KEY,
    module_id text NOT NULL REFERENCES modules (id),
    title text NOT NULL,
    position integer NOT NULL
);

CREATE TABLE enrollments (
    id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id),
    course_id text NOT NULL REFERENCES courses (id),
    status text NOT NULL DEFAULT 'ACTIVE',
    progress double precision NOT NULL DEFAULT 0
);

CREATE TABLE progress (
    id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id),
    lesson_id text NOT NULL REFERENCES lessons (id)
);

-- A key must hold the partition column. No foreign keys: an event outlives its user, and
-- attaching a month would lock the table a foreign key points to.
CREATE TABLE analytics_events (
    id text NOT NULL,
    user_id text,
    event_type text NOT NULL,
    data jsonb NOT NULL,
    "timestamp" timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, "timestamp")
) PARTITION BY RANGE ("timestamp");
