"""What the plans of the example systems get wrong, as far as it is SQL.

Each has the statement of the plan, what the server says to it, and what the product should answer.
"""

from dataclasses import dataclass

POLICY = "policy"
"""The declared file is refused when the policy is loaded."""
NOTHING = None
"""Not for the product to answer: a matter of the application, or of advice it does not follow."""


@dataclass(frozen=True)
class Defect:
    """A statement that the server refuses.

    Attributes:
        id: letter of the system and number; a small letter more if it has several statements.
        statement: as the plan has it; several are sent as one batch.
        sqlstate: what the server refuses it with.
        said: a name that is in its message, with which the answer can be checked.
        answer: kind of finding, `POLICY` or `NOTHING`.
        schema: the system, and after a slash the file of its tables.
        setup: statements before it, each on its own.
        in_transaction: whether it comes in an open transaction.
    """

    id: str
    statement: str
    sqlstate: str
    said: str = ""
    answer: str | None = NOTHING
    schema: str = ""
    setup: tuple[str, ...] = ()
    in_transaction: bool = False


@dataclass(frozen=True)
class Shape:
    """A statement that works and does not do what it is for.

    Attributes:
        id: as that of a `Defect`.
        statement: as the plan has it.
        answer: kind of finding, or `NOTHING`.
    """

    id: str
    statement: str
    answer: str | None


_LONG_AGO = "INSERT INTO {} (id, \"timestamp\") VALUES ('a', '2023-05-05 12:00Z')"
_EVENTS = (
    "CREATE TABLE analytics_events (id text NOT NULL, user_id text, event_type text,"
    ' data jsonb, "timestamp" timestamptz NOT NULL DEFAULT now())'
)
_PARTITIONED_EVENTS = f'{_EVENTS} PARTITION BY RANGE ("timestamp")'
_JANUARY = (
    "CREATE TABLE analytics_events_2024_01 PARTITION OF analytics_events"
    " FOR VALUES FROM ('2024-01-01 00:00Z') TO ('2024-02-01 00:00Z')"
)
_DEFAULT = "CREATE TABLE analytics_events_default PARTITION OF analytics_events DEFAULT"
_EVENT_INDEX = "CREATE INDEX by_type ON analytics_events (event_type)"
_SUMMARY = (
    "CREATE MATERIALIZED VIEW proposal_analytics_summary AS SELECT date_trunc('day', created_at)"
    " AS date, status, count(*) FROM proposals GROUP BY 1, 2"
)
_DATE_STATUS = (
    "CREATE INDEX idx_proposal_analytics_date_status"
    " ON proposal_analytics_summary (date DESC, status)"
)
_CHECK_VALUE = (
    "ALTER TABLE proposals ADD CONSTRAINT check_value_positive CHECK (value IS NULL OR value >= 0)"
)
_NEGATIVE = (
    "INSERT INTO customers VALUES ('c', 'C')",
    "INSERT INTO proposals (id, title, customer_id, value) VALUES ('p', 'P', 'c', -1)",
)
_SENDER = (
    "CREATE INDEX idx_messages_sender_created ON messages (sender_id, created_at DESC)"
    " WHERE deleted_at IS NULL"
)
_USER_POSTS = (
    "CREATE INDEX idx_posts_user_created ON posts (user_id, created_at DESC)"
    " WHERE deleted_at IS NULL"
)
_LOOSE = "CREATE TABLE loose (completed boolean, achieved_at timestamptz)"

DEFECTS = (
    # unpuzzle
    Defect("U1", "DROP INDEX CONCURRENTLY IF EXISTS [index_name]", "42601", "[", POLICY),
    Defect(
        "U2a",
        "CREATE INDEX idx_video_progress_student_course_completion ON video_progress"
        " (student_id, course_id, completed, last_watched_at DESC) WHERE completed = true",
        "42703",
        "completed",
        "schema_drift",
        "unpuzzle/public_schema.sql",
    ),
    Defect(
        "U2b",
        "CREATE INDEX idx_enrollments_user_progress_active ON enrollments"
        " (user_id, progress_percent, last_accessed_at DESC) WHERE status = 'active'",
        "42703",
        "status",
        "schema_drift",
        "unpuzzle/public_schema.sql",
    ),
    Defect(
        "U2c",
        "CREATE INDEX idx_course_goal_assignments_goal_course ON course_goal_assignments"
        " (goal_id, course_id) INCLUDE (created_at, status)",
        "42703",
        "status",
        "schema_drift",
        "unpuzzle/public_schema.sql",
    ),
    Defect(
        "U2d",
        "CREATE INDEX idx_course_track_assignments_track_course ON course_track_assignments"
        " (track_id, course_id) INCLUDE (assignment_order, created_at)",
        "42703",
        "assignment_order",
        "schema_drift",
        "unpuzzle/public_schema.sql",
    ),
    Defect(
        "U2e",
        "CREATE INDEX idx_message_attachments_message_type ON message_attachments"
        " (message_id, file_type) INCLUDE (file_url, file_size)",
        "42703",
        "file_type",
        "schema_drift",
        "unpuzzle/public_schema.sql",
    ),
    Defect(
        "U2f",
        "CREATE INDEX idx_ai_interactions_student_course_time ON ai_interactions"
        " (student_id, course_id, created_at DESC) INCLUDE (interaction_type, context_type)",
        "42703",
        "student_id",
        "schema_drift",
        "unpuzzle/public_schema.sql",
    ),
    Defect(
        "U2g",
        "CREATE INDEX idx_learning_milestones_user_progress ON learning_milestones"
        " (user_id, achieved_at DESC, milestone_type) WHERE achieved = true",
        "42703",
        "achieved",
        "schema_drift",
        "unpuzzle/public_schema.sql",
    ),
    Defect(
        "U2h",
        "CREATE INDEX idx_learning_activities_user_course_date ON learning_activities"
        " (user_id, course_id, created_at DESC) INCLUDE (activity_type, points_earned)",
        "42703",
        "points_earned",
        "schema_drift",
        "unpuzzle/public_schema.sql",
    ),
    Defect(
        "U6",
        "INSERT INTO message_attachments (message_id, file_type, file_url) SELECT id, 'text/plain',"
        " (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 200) AS n)"
        " FROM conversation_messages",
        "54000",
        "2704",
        "index_wide_key",
        "unpuzzle",
        (
            "CREATE INDEX idx_message_attachments_message_type ON message_attachments"
            " (message_id, file_type) INCLUDE (file_url, file_size)",
            "INSERT INTO conversation_messages (conversation_id, sender_id, message_type)"
            " SELECT id, id, 'activity' FROM (SELECT gen_random_uuid() AS id) AS one",
        ),
    ),
    Defect(
        "U9",
        "CREATE INDEX CONCURRENTLY idx_enrollments_again ON enrollments (course_id)",
        "42P07",
        "idx_enrollments_again",
        schema="unpuzzle",
        setup=("CREATE INDEX CONCURRENTLY idx_enrollments_again ON enrollments (course_id)",),
    ),
    Defect(
        "U10a",
        "CREATE INDEX CONCURRENTLY by_course ON enrollments (course_id)",
        "25001",
        schema="unpuzzle",
        in_transaction=True,
    ),
    Defect(
        "U10b",
        "CREATE INDEX CONCURRENTLY a ON requests (status); SELECT 1",
        "25001",
        schema="unpuzzle",
    ),
    Defect(
        "U10c",
        "DO $$ BEGIN CREATE INDEX CONCURRENTLY by_course ON enrollments (course_id); END $$",
        "25001",
        schema="unpuzzle",
    ),
    # lms
    Defect(
        "L1",
        "CREATE INDEX course_progress_incomplete_idx ON course_progress"
        ' ("progressPercent", "lastAccessedAt" DESC) WHERE progressPercent < 100',
        "42703",
        "progresspercent",
        "schema_drift",
        "lms",
    ),
    Defect(
        "L3",
        'CREATE INDEX users_role_idx ON users (role); VACUUM ANALYZE "courses"',
        "25001",
        "VACUUM",
        POLICY,
        "lms",
    ),
    Defect(
        "L5a",
        "SELECT * FROM users WHERE role = 'STUDENT' ORDER BY createdAt DESC LIMIT 20",
        "42703",
        "createdat",
        "schema_drift",
        "lms",
    ),
    Defect(
        "L5b",
        "SELECT c.title FROM enrollments e JOIN courses c ON c.id = e.courseId"
        " WHERE e.userId = 'u' AND e.status = 'ACTIVE'",
        "42703",
        "e.courseid",
        "schema_drift",
        "lms",
    ),
    Defect(
        "L6",
        'CREATE INDEX "made_userId_idx" ON made ("userId")',
        "42703",
        "userId",
        "schema_drift",
        setup=("CREATE TABLE made (id text, userId text, courseId text)",),
    ),
    Defect("L7a", "SELECT tablename FROM pg_stat_user_indexes", "42703", "tablename"),
    Defect("L7b", "SELECT indexname FROM pg_stat_user_indexes", "42703", "indexname"),
    Defect("L9", "ALTER DATABASE your_database SET log_min_duration_statement = 1000", "3D000"),
    Defect("L10", "SELECT query FROM pg_stat_statements", "42P01", "pg_stat_statements"),
    Defect(
        "L12a",
        "DROP INDEX kc_a_key",
        "2BP01",
        "kc_a_key",
        "index_not_droppable",
        setup=("CREATE TABLE kc (a integer UNIQUE)",),
    ),
    Defect(
        "L12b",
        "DROP INDEX parent_a",
        "2BP01",
        "parent_a",
        "index_not_droppable",
        setup=(
            "CREATE TABLE parent (a integer)",
            "CREATE UNIQUE INDEX parent_a ON parent (a)",
            "CREATE TABLE child (a integer REFERENCES parent (a))",
        ),
    ),
    Defect(
        "L14",
        'UPDATE course_progress SET "progressPercent" = "completedLessons" * 100 / "totalLessons"'
        " WHERE id = 'p'",
        "22012",
        schema="lms",
        setup=(
            "INSERT INTO courses (id, slug, title, \"instructorId\") VALUES ('c', 'c', 'C', 'u')",
            "INSERT INTO course_progress (id, \"userId\", \"courseId\") VALUES ('p', 'u', 'c')",
        ),
    ),
    Defect(
        "L15",
        "INSERT INTO transactions (id, ...) VALUES ('t', ...)",
        "42601",
        schema="lms",
        in_transaction=True,
    ),
    Defect(
        "L17",
        "SELECT pg_total_relation_size(schemaname || '.' || tablename) FROM pg_tables"
        " WHERE schemaname = 'public'",
        "42P01",
        "public.auditlog",
        schema="proposals/prisma_schema.sql",
    ),
    Defect("L19", "SELECT to_tsquery('english', 'machine learning')", "42601"),
    # nova
    Defect("N1", "SELECT indexname, idx_scan FROM pg_stat_user_indexes", "42703", "indexname"),
    Defect(
        "N2",
        "SELECT 100.0 * idx_tup_fetch / idx_tup_read FROM pg_stat_user_indexes"
        " WHERE indexrelname = 'idx_messages_sender_created'",
        "22012",
        schema="nova",
        setup=(_SENDER,),
    ),
    Defect("N5a", "DROP INDEX CONCURRENTLY idx_posts_user_created", "42704", schema="nova"),
    Defect(
        "N5b",
        "DROP INDEX CONCURRENTLY idx_messages_sender_created;"
        " DROP INDEX CONCURRENTLY idx_posts_user_created",
        "25001",
        schema="nova",
        setup=(_SENDER, _USER_POSTS),
    ),
    Defect(
        "N5c",
        "DROP INDEX CONCURRENTLY idx_messages_sender_created, idx_posts_user_created",
        "0A000",
        schema="nova",
        setup=(_SENDER, _USER_POSTS),
    ),
    Defect(
        "N7",
        _USER_POSTS,
        "42P07",
        "idx_posts_user_created",
        "index_definition_drift",
        "nova/public_schema.sql",
    ),
    Defect(
        "N9a",
        "SELECT id, sender_id, content, created_at FROM messages",
        "42703",
        "content",
        "schema_drift",
        "nova/public_schema.sql",
    ),
    Defect(
        "N9b",
        "SELECT id, user_id, content, created_at FROM posts",
        "42703",
        "content",
        "schema_drift",
        "nova/public_schema.sql",
    ),
    Defect(
        "N17",
        "CREATE INDEX pending ON outbox (id) WHERE next_try <= NOW()",
        "42P17",
        answer="index_not_buildable",
        setup=("CREATE TABLE outbox (id bigint, next_try timestamptz)",),
    ),
    Defect("N18a", "SELECT indexrelid FROM pg_indexes", "42703", "indexrelid"),
    Defect("N18b", "SELECT heap_blks_hit FROM pg_statio_user_indexes", "42703", "heap_blks_hit"),
    Defect("N18c", "SELECT pg_blocking_pids()", "42883", "pg_blocking_pids"),
    # learning_platform
    Defect(
        "E1",
        "CREATE INDEX idx_user_sessions_token_expires ON user_sessions (token, expires_at)"
        " WHERE expires_at > NOW()",
        "42P17",
        answer="index_not_buildable",
        schema="learning_platform",
    ),
    Defect(
        "E2",
        "CREATE UNIQUE INDEX CONCURRENTLY idx_progress_user_lesson_unique"
        " ON progress (user_id, lesson_id)",
        "23505",
        "idx_progress_user_lesson_unique",
        "index_not_buildable",
        setup=(
            "CREATE TABLE progress (id text, user_id text, lesson_id text)",
            "INSERT INTO progress VALUES ('p1', 'u1', 'l1'), ('p2', 'u1', 'l1')",
        ),
    ),
    Defect(
        "E4a",
        "CREATE INDEX found ON courses USING gin"
        " (to_tsvector('english', concat_ws(' ', title, description)))",
        "42P17",
        answer="index_not_buildable",
        schema="learning_platform",
    ),
    Defect(
        "E4b",
        "CREATE INDEX found ON courses USING gin (to_tsvector(title))",
        "42P17",
        answer="index_not_buildable",
        schema="learning_platform",
    ),
    Defect(
        "E4c",
        "CREATE INDEX tags ON courses USING gin (title)",
        "42704",
        "gin",
        "index_not_buildable",
        "learning_platform",
    ),
    Defect("E5", "SELECT to_tsquery('english', 'a &  & b')", "42601"),
    Defect(
        "E6",
        "CREATE MATERIALIZED VIEW mv AS SELECT u.id, LEAST(100, engagement_calculation)"
        " FROM users u",
        "42703",
        "engagement_calculation",
        schema="learning_platform",
    ),
    Defect(
        "E8",
        "CREATE MATERIALIZED VIEW mv AS SELECT c.id, round(count(DISTINCT e.user_id)"
        " FILTER (WHERE e.status = 'COMPLETED') * 100.0 / count(DISTINCT e.user_id), 2)"
        " FROM courses c LEFT JOIN enrollments e ON e.course_id = c.id GROUP BY c.id",
        "22012",
        schema="learning_platform",
        setup=("INSERT INTO courses (id, title) VALUES ('c', 'C')",),
    ),
    Defect(
        "E9",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY mv",
        "55000",
        "public.mv",
        "matview_no_unique_index",
        setup=(
            "CREATE MATERIALIZED VIEW mv AS SELECT 1 AS a",
            "CREATE UNIQUE INDEX ON mv (a) WHERE a > 0",
        ),
    ),
    Defect(
        "E10a",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY mv",
        "0A000",
        answer="matview_unpopulated",
        setup=(
            "CREATE MATERIALIZED VIEW mv AS SELECT 1 AS a WITH NO DATA",
            "CREATE UNIQUE INDEX ON mv (a)",
        ),
    ),
    Defect(
        "E10b",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY mv WITH NO DATA",
        "42601",
        setup=("CREATE MATERIALIZED VIEW mv AS SELECT 1 AS a", "CREATE UNIQUE INDEX ON mv (a)"),
    ),
    Defect(
        "E13a",
        _PARTITIONED_EVENTS,
        "42P07",
        "analytics_events",
        "not_partitioned",
        setup=(_EVENTS,),
    ),
    Defect("E13b", _JANUARY, "42P17", "analytics_events", "not_partitioned", setup=(_EVENTS,)),
    Defect(
        "E13c",
        'ALTER TABLE analytics_events PARTITION BY RANGE ("timestamp")',
        "42601",
        setup=(_EVENTS,),
    ),
    Defect(
        "E14",
        'CREATE TABLE e (id text PRIMARY KEY, "timestamp" timestamptz NOT NULL)'
        ' PARTITION BY RANGE ("timestamp")',
        "0A000",
    ),
    Defect(
        "E15",
        "INSERT INTO analytics_events (id, \"timestamp\") VALUES ('e', '2026-01-05 12:00Z')",
        "23514",
        "analytics_events",
        "partition_horizon_short",
        setup=(_PARTITIONED_EVENTS, _JANUARY),
    ),
    Defect(
        "E16",
        _JANUARY,
        "23514",
        "analytics_events_default",
        "default_partition_rows",
        setup=(
            _PARTITIONED_EVENTS,
            _DEFAULT,
            "INSERT INTO analytics_events (id, \"timestamp\") VALUES ('e', '2024-01-05 12:00Z')",
        ),
    ),
    Defect(
        "E17",
        "CREATE TABLE analytics_events_2024_02 PARTITION OF analytics_events"
        " FOR VALUES FROM ('2024-02-01 00:00Z') TO ('2024-03-01 00:00Z')",
        "42P17",
        "analytics_events_2024_01",
        "partition_time_zone_drift",
        setup=(
            _PARTITIONED_EVENTS,
            "SET TimeZone = 'America/New_York'",
            "CREATE TABLE analytics_events_2024_01 PARTITION OF analytics_events"
            " FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')",
        ),
    ),
    Defect(
        "E18",
        "CREATE INDEX CONCURRENTLY by_type ON analytics_events (event_type)",
        "0A000",
        "analytics_events",
        schema="learning_platform",
    ),
    Defect(
        "E19a",
        "DROP INDEX CONCURRENTLY by_type",
        "0A000",
        "by_type",
        setup=(_PARTITIONED_EVENTS, _JANUARY, _EVENT_INDEX),
    ),
    Defect(
        "E19b",
        "DROP INDEX analytics_events_2024_01_event_type_idx",
        "2BP01",
        "by_type",
        setup=(_PARTITIONED_EVENTS, _JANUARY, _EVENT_INDEX),
    ),
    Defect(
        "E20a",
        "ALTER TABLE analytics_events DETACH PARTITION analytics_events_2024_01 CONCURRENTLY",
        "55000",
        setup=(_PARTITIONED_EVENTS, _JANUARY, _DEFAULT),
    ),
    Defect(
        "E20b",
        "ALTER TABLE analytics_events DETACH PARTITION analytics_events_2024_01 CONCURRENTLY",
        "25001",
        setup=(_PARTITIONED_EVENTS, _JANUARY),
        in_transaction=True,
    ),
    Defect("E23a", "SELECT * FROM query_performance_monitor", "42P01"),
    Defect("E23b", "SELECT * FROM index_effectiveness", "42P01"),
    Defect("E23c", "SELECT * FROM table_size_monitor", "42P01"),
    Defect("E23d", "SELECT refresh_all_analytics_views()", "42883"),
    Defect("E23e", "SELECT monthly_partition_maintenance()", "42883"),
    Defect("E23f", "SELECT get_mv_refresh_recommendations()", "42883"),
    # proposals
    Defect(
        "P1a",
        'CREATE TABLE audit_logs_partitioned (id text, "timestamp" timestamptz,'
        ' /* other columns */) PARTITION BY RANGE ("timestamp")',
        "42601",
        ")",
    ),
    Defect(
        "P1b",
        "CREATE TABLE audit_logs_2024_01 PARTITION OF audit_logs_partitioned"
        " FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')",
        "42P01",
        "audit_logs_partitioned",
    ),
    Defect(
        "P2a",
        "INSERT INTO audit_logs_partitioned VALUES ('a', NULL)",
        "23514",
        setup=(
            'CREATE TABLE audit_logs_partitioned (id text, "timestamp" timestamptz)'
            ' PARTITION BY RANGE ("timestamp")',
        ),
    ),
    Defect(
        "P2b",
        'CREATE TABLE l (id text PRIMARY KEY, "timestamp" timestamptz)'
        ' PARTITION BY RANGE ("timestamp")',
        "0A000",
    ),
    Defect(
        "P3",
        _LONG_AGO.format("audit_logs_partitioned"),
        "23514",
        setup=(
            'CREATE TABLE audit_logs_partitioned (id text, "timestamp" timestamptz)'
            ' PARTITION BY RANGE ("timestamp")',
        ),
    ),
    Defect(
        "P5",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY proposal_analytics_summary",
        "55000",
        answer="matview_no_unique_index",
        schema="proposals",
        setup=(_SUMMARY, _DATE_STATUS),
    ),
    Defect(
        "P7",
        "CREATE INDEX by_day ON proposals (date_trunc('day', created_at))",
        "42P17",
        answer="index_not_buildable",
        schema="proposals",
    ),
    Defect(
        "P8",
        _CHECK_VALUE,
        "23514",
        "check_value_positive",
        "constraint_violated",
        "proposals",
        _NEGATIVE,
    ),
    Defect(
        "P9a",
        _CHECK_VALUE,
        "42710",
        "check_value_positive",
        schema="proposals",
        setup=(_CHECK_VALUE,),
    ),
    Defect(
        "P9b",
        "ALTER TABLE proposals ADD CONSTRAINT IF NOT EXISTS check_value_positive CHECK (value > 0)",
        "42601",
        answer=POLICY,
        schema="proposals",
    ),
    Defect(
        "P11a",
        "CREATE INDEX idx_hypothesis_events_user_timestamp_hypothesis"
        " ON hypothesis_validation_events (user_id, timestamp DESC, hypothesis)",
        "42703",
        "user_id",
        "schema_drift",
        "proposals/prisma_schema.sql",
    ),
    Defect(
        "P11b",
        "CREATE INDEX idx_proposal_status_customer_created ON proposals"
        " (status, customer_id, created_at DESC)",
        "42703",
        "customer_id",
        "schema_drift",
        "proposals/prisma_schema.sql",
    ),
    Defect(
        "P11c",
        "CREATE INDEX idx_content_search_optimization ON content"
        " (type, is_active, category, created_at DESC)",
        "42703",
        "is_active",
        "schema_drift",
        "proposals/prisma_schema.sql",
    ),
    Defect(
        "P11d",
        "CREATE INDEX idx_approval_execution_status_workflow_started ON approval_executions"
        " (status, workflow_id, started_at DESC)",
        "42703",
        "workflow_id",
        "schema_drift",
        "proposals/prisma_schema.sql",
    ),
    Defect(
        "P11e",
        "CREATE INDEX idx_validation_issues_entity_severity_status ON validation_issues"
        " (entity_type, severity, status, detected_at DESC)",
        "42703",
        "entity_type",
        "schema_drift",
        "proposals/prisma_schema.sql",
    ),
    Defect(
        "P11f",
        "CREATE INDEX idx_hypothesis_validation_compound ON hypothesis_validation_events"
        " (hypothesis, user_id, timestamp DESC, target_value, actual_value)"
        " WHERE actual_value IS NOT NULL",
        "42703",
        "actual_value",
        "schema_drift",
        "proposals/prisma_schema.sql",
    ),
    Defect(
        "P11g",
        "CREATE INDEX idx_performance_baseline_lookup ON performance_baselines"
        " (hypothesis, metric_name, collection_date DESC)",
        "42703",
        "metric_name",
        "schema_drift",
        "proposals/prisma_schema.sql",
    ),
    Defect(
        "P11h",
        _SUMMARY,
        "42703",
        "created_at",
        "schema_drift",
        "proposals/prisma_schema.sql",
    ),
    Defect("P11i", _DATE_STATUS, "42P01", "proposal_analytics_summary", "schema_drift"),
    Defect(
        "P11j",
        "ALTER TABLE hypothesis_validation_events ADD CONSTRAINT check_improvement_range"
        " CHECK (performance_improvement >= -100 AND performance_improvement <= 1000)",
        "42703",
        "performance_improvement",
        "schema_drift",
        "proposals/prisma_schema.sql",
    ),
)

_SHAPES = (
    Shape(
        "U3",
        "CREATE INDEX idx_video_progress_student_course_completion ON video_progress"
        " (student_id, course_id, completed, last_watched_at DESC) WHERE completed = true",
        "index_predicate_in_key",
    ),
    Shape(
        "U4",
        "CREATE INDEX idx_enrollments_user_progress_active ON enrollments"
        " (user_id, progress_percent, last_accessed_at DESC) WHERE status = 'active'",
        "index_not_used_by_query",
    ),
    Shape(
        "U5",
        "CREATE INDEX idx_course_track_assignments_track_course ON course_track_assignments"
        " (track_id, course_id) INCLUDE (assignment_order, created_at)",
        "index_not_used_by_query",
    ),
    Shape(
        "U7",
        "CREATE INDEX idx_conversation_messages_timeline_optimized ON conversation_messages"
        " (conversation_id, target_date DESC NULLS LAST, created_at DESC)"
        " INCLUDE (message_type, sender_id)",
        "index_redundant",
    ),
    Shape(
        "U8",
        "CREATE INDEX idx_requests_user_type_status ON requests"
        " (user_id, request_type, status, created_at DESC) WHERE status != 'completed'",
        "index_not_used_by_query",
    ),
    Shape(
        "U9",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS left_over ON enrollments (course_id)",
        "index_invalid",
    ),
    Shape("U11", "CREATE INDEX CONCURRENTLY left_over ON enrollments (course_id)", "index_invalid"),
    Shape("U12", "CREATE INDEX CONCURRENTLY left_over ON enrollments (course_id)", "index_invalid"),
    Shape(
        "U14",
        "CREATE INDEX idx_course_goal_assignments_goal_course ON course_goal_assignments"
        " (goal_id, course_id) INCLUDE (created_at, status)",
        NOTHING,
    ),
    Shape(
        "L2",
        "CREATE INDEX course_progress_incomplete_idx ON course_progress"
        ' ("progressPercent", "lastAccessedAt" DESC) WHERE progressPercent < 100',
        "schema_drift",
    ),
    Shape("L4", 'CREATE INDEX "courses_createdAt_idx" ON courses ("createdAt" DESC)', NOTHING),
    Shape(
        "L8",
        "SELECT query, calls, total_time, mean_time, max_time FROM pg_stat_statements",
        NOTHING,
    ),
    Shape(
        "L11",
        "SELECT indexrelname FROM pg_stat_user_indexes"
        " WHERE idx_scan = 0 AND indexrelname NOT LIKE '%_pkey'",
        NOTHING,
    ),
    Shape(
        "L13",
        "postgresql://app@localhost/lms?connection_limit=20&pool_timeout=20&pgbouncer=true",
        NOTHING,
    ),
    Shape(
        "L18",
        "SELECT pg_total_relation_size('users') - pg_relation_size('users')",
        NOTHING,
    ),
    Shape(
        "L16",
        "SELECT id FROM transactions WHERE \"createdAt\" BETWEEN '2025-01-01' AND '2025-01-31'",
        NOTHING,
    ),
    Shape(
        "L20",
        'CREATE INDEX "users_role_createdAt_idx" ON users (role, "createdAt" DESC)',
        NOTHING,
    ),
    Shape(
        "L21",
        "CREATE INDEX courses_published_catalog_idx ON courses"
        ' (featured DESC, difficulty, "createdAt" DESC) WHERE published = true',
        "index_not_used_by_query",
    ),
    Shape(
        "L22",
        "CREATE INDEX course_progress_incomplete_idx ON course_progress"
        ' ("progressPercent", "lastAccessedAt" DESC) WHERE "progressPercent" < 100',
        "index_not_used_by_query",
    ),
    Shape(
        "L24",
        "CREATE INDEX quiz_attempts_failed_idx ON quiz_attempts"
        ' ("userId", "quizId", passed) WHERE passed = false',
        "index_predicate_in_key",
    ),
    Shape("N3", _SENDER, NOTHING),
    Shape(
        "N4",
        "SELECT indexrelname FROM pg_stat_user_indexes WHERE indexrelname LIKE 'idx_posts_user_%'",
        NOTHING,
    ),
    Shape("N8", _USER_POSTS, "index_duplicate"),
    Shape("N10", _USER_POSTS, NOTHING),
    Shape(
        "E2",
        "CREATE INDEX idx_progress_user_lesson_unique ON progress (user_id, lesson_id)",
        NOTHING,
    ),
    Shape(
        "E3",
        "CREATE INDEX idx_courses_fulltext ON courses USING gin"
        " (to_tsvector('english', title || ' ' || description))",
        "index_declaration_doubtful",
    ),
    Shape("E7", "SELECT LEAST(100, NULL::integer)", NOTHING),
    Shape(
        "E22",
        "CREATE INDEX idx_enrollments_user_status_active ON enrollments (user_id, status)"
        " WHERE status = 'ACTIVE'",
        "index_predicate_in_key",
    ),
    Shape("E24", "SELECT count(*) FROM pg_stat_activity", NOTHING),
    Shape(
        "E25",
        "SELECT count(*) FROM analytics_events"
        " WHERE date_trunc('month', \"timestamp\") = '2024-01-01 00:00Z'",
        NOTHING,
    ),
    Shape(
        "P6",
        "CREATE MATERIALIZED VIEW waiting AS SELECT status, avg(extract(epoch FROM"
        " coalesce(approved_at, NOW()) - created_at)) / 3600 AS avg_processing_hours"
        " FROM proposals GROUP BY status",
        NOTHING,
    ),
    Shape(
        "P13",
        "CREATE INDEX idx_hypothesis_validation_compound ON hypothesis_validation_events"
        ' (hypothesis, "userId", "timestamp" DESC, "targetValue", "actualValue")'
        ' WHERE "actualValue" IS NOT NULL',
        "index_declaration_doubtful",
    ),
    Shape(
        "P10",
        "ALTER TABLE proposal_products ADD CONSTRAINT check_quantity_positive CHECK (quantity > 0)",
        NOTHING,
    ),
    Shape("P12", "CREATE INDEX idx_p ON proposals (status, customer_id, created_at DESC)", NOTHING),
    Shape(
        "P14",
        'CREATE INDEX by_category ON content (type, "isActive", category, "createdAt" DESC)',
        "index_not_used_by_query",
    ),
    Shape(
        "P15",
        "CREATE INDEX idx_proposal_status_customer_created ON proposals"
        " (status, customer_id, created_at DESC)",
        "index_not_used_by_query",
    ),
)
SHAPES = {shape.id: shape for shape in _SHAPES}
"""Tried one by one in the tests, by id."""
assert len(SHAPES) == len(_SHAPES)
