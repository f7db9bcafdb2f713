"""What the plans of the example systems get wrong, tried on real servers.

The statements, and what the product should answer, are in `tests/system_defects.py`.
"""

import contextlib
import re
from collections.abc import Generator, Iterator
from typing import Any

import psycopg
import pytest
from pglast import parse_sql
from pglast.stream import RawStream
from psycopg import errors

from maintenance.demo.postgres import PostgresServer
from maintenance.engine.findings import FindingKind
from tests.builders import Database, Role, drop_database, make_database, make_template
from tests.declared import schema
from tests.system_defects import DEFECTS, POLICY, SHAPES, Defect

Connection = psycopg.Connection[Any]


def statement(id_: str) -> bytes:
    return SHAPES[id_].statement.encode()


def tables_of(connection: Connection, name: str) -> Connection:
    """Load the tables of a system, or of a file of one."""
    if name:
        system, _, file = name.partition("/")
        connection.execute(schema(system, file or "schema.sql").encode())
    return connection


@pytest.fixture
def unpuzzle(server: PostgresServer) -> Iterator[Database]:
    yield from _database(server, "unpuzzle")


@pytest.fixture
def lms(server: PostgresServer) -> Iterator[Database]:
    yield from _database(server, "lms")


@pytest.fixture
def nova(server: PostgresServer) -> Iterator[Database]:
    yield from _database(server, "nova")


def _database(server: PostgresServer, system: str) -> Iterator[Database]:
    database = make_database(server, make_template(server, system))
    yield database
    drop_database(database)


# Statements that the server refuses


@pytest.mark.in_turn
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.id)
def test_server_refuses_the_statement_as_stated(database: Database, defect: Defect) -> None:
    connection = tables_of(database.connect(), defect.schema)
    for each in defect.setup:
        connection.execute(each.encode())
    if defect.in_transaction:
        connection.execute("BEGIN")
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(defect.statement.encode())
    assert caught.value.sqlstate == defect.sqlstate
    assert defect.said in str(caught.value.diag.message_primary)


def test_every_defect_is_there_once_and_asks_for_an_answer_that_there_is() -> None:
    ids = [defect.id for defect in DEFECTS]
    assert len(ids) == len(set(ids))
    assert {re.match(r"[A-Z]\d+", id_) is not None for id_ in [*ids, *SHAPES]} == {True}
    known = {kind.value for kind in FindingKind} | {POLICY, None}
    answers = {each.answer for each in (*DEFECTS, *SHAPES.values())}
    assert answers - known == set()


@pytest.mark.pg("== 18")
def test_l9_owner_without_superuser_may_not_log_slow_statements(
    database: Database, limited_role: Role
) -> None:
    database.give_to(limited_role)
    with pytest.raises(errors.InsufficientPrivilege):
        database.execute(
            f'ALTER DATABASE "{database.name}" SET log_min_duration_statement = 1000',
            role=limited_role,
        )


def test_l15_statement_after_the_broken_one_is_refused_too(database: Database) -> None:
    connection = database.connect(autocommit=False)
    with pytest.raises(errors.SyntaxError):
        connection.execute("INSERT INTO transactions (id, ...) VALUES ('t', ...)")
    with pytest.raises(errors.InFailedSqlTransaction):
        connection.execute("SELECT 1")


# Statements that work and do not do what they are for


def plan(connection: Connection, query: str) -> list[dict[str, Any]]:
    """The nodes of a query's plan where reading the whole table is the last resort."""
    connection.execute("SET enable_seqscan = off")
    ((found,),) = connection.execute(f"EXPLAIN (FORMAT JSON) {query}".encode()).fetchall()
    connection.execute("RESET enable_seqscan")
    return nodes(found[0]["Plan"])


def nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(each for child in node.get("Plans", []) for each in nodes(child))]


def chosen(connection: Connection, query: str) -> set[str]:
    """The indexes of the plan that the planner takes by itself."""
    ((found,),) = connection.execute(f"EXPLAIN (FORMAT JSON) {query}".encode()).fetchall()
    return {node["Index Name"] for node in nodes(found[0]["Plan"]) if "Index Name" in node}


def uses(connection: Connection, index: str, query: str) -> bool:
    return index in {node.get("Index Name") for node in plan(connection, query)}


def sorts(connection: Connection, query: str) -> bool:
    return any("Sort" in node["Node Type"] for node in plan(connection, query))


def drop_indexes(connection: Connection, *tables: str) -> None:
    """Drop the indexes of some tables that no constraint needs."""
    found = connection.execute(
        "SELECT indexrelid::regclass::text FROM pg_catalog.pg_index"
        " WHERE indrelid = ANY (%s::regclass[])"
        " AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conindid = indexrelid)",
        [list(tables)],
    )
    for (name,) in found.fetchall():
        connection.execute(f"DROP INDEX {name}".encode())


def is_valid(database: Database, index: str) -> bool:
    ((valid,),) = database.execute(
        "SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = %s::regclass", [index]
    )
    return bool(valid)


@contextlib.contextmanager
def old_snapshot(database: Database) -> Generator[None]:
    with database.connect(autocommit=False) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM enrollments")
        yield


@pytest.mark.parametrize("id_", ["U3", "L24", "E22"])
def test_u3_l24_e22_column_of_the_predicate_is_a_constant_in_the_key(id_: str) -> None:
    (raw,) = parse_sql(SHAPES[id_].statement)
    node: Any = raw.stmt
    predicate = RawStream()(node.whereClause)
    (column,) = [key.name for key in node.indexParams if f"{key.name} = " in predicate]
    assert column in {"completed", "passed", "status"}


def test_u3_index_of_finished_videos_serves_no_other_dashboard(unpuzzle: Database) -> None:
    connection = unpuzzle.connect()
    drop_indexes(connection, "video_progress")
    connection.execute(statement("U3"))
    index = "idx_video_progress_student_course_completion"
    one = f"student_id = '{'0' * 32}' AND course_id = '{'1' * 32}'"
    assert uses(connection, index, f"SELECT * FROM video_progress WHERE {one} AND completed")
    assert not uses(connection, index, f"SELECT * FROM video_progress WHERE {one}")
    assert not uses(
        connection, index, f"SELECT * FROM video_progress WHERE {one} AND completed = false"
    )


def test_u4_sort_remains_above_the_index(unpuzzle: Database) -> None:
    connection = unpuzzle.connect()
    drop_indexes(connection, "enrollments")
    connection.execute(statement("U4"))
    query = (
        f"SELECT * FROM enrollments WHERE user_id = '{'0' * 32}' AND status = 'active'"
        " ORDER BY last_accessed_at DESC"
    )
    connection.execute("SET enable_bitmapscan = off")
    assert sorts(connection, query)


def test_u5_included_column_gives_no_order(unpuzzle: Database) -> None:
    connection = unpuzzle.connect()
    drop_indexes(connection, "course_track_assignments")
    connection.execute(statement("U5"))
    connection.execute("SET enable_bitmapscan = off")
    query = (
        f"SELECT course_id FROM course_track_assignments WHERE track_id = '{'0' * 32}'"
        " ORDER BY assignment_order"
    )
    assert uses(connection, "idx_course_track_assignments_track_course", query)
    assert sorts(connection, query)


def test_u7_new_timeline_has_the_key_of_the_one_that_is_there(unpuzzle: Database) -> None:
    connection = unpuzzle.connect()
    connection.execute(statement("U7"))
    keys = connection.execute(
        "SELECT DISTINCT array(SELECT pg_get_indexdef(indexrelid, n, false)"
        " FROM generate_series(1, indnkeyatts) AS n), indoption"
        " FROM pg_catalog.pg_index WHERE indexrelid IN"
        " ('idx_conversation_messages_timeline'::regclass,"
        " 'idx_conversation_messages_timeline_optimized'::regclass)"
    ).fetchall()
    assert len(keys) == 1


def test_u8_index_on_open_requests_needs_the_status_in_the_text(unpuzzle: Database) -> None:
    connection = unpuzzle.connect()
    drop_indexes(connection, "requests")
    connection.execute(statement("U8"))
    index = "idx_requests_user_type_status"
    mine = f"SELECT * FROM requests WHERE user_id = '{'0' * 32}' AND request_type = 'refund'"
    assert uses(connection, index, f"{mine} AND status = 'pending'")
    assert uses(connection, index, f"{mine} AND status IN ('pending', 'in_review')")
    assert not uses(connection, index, mine)
    connection.execute(f"PREPARE q (text) AS {mine} AND status = $1".encode())
    connection.execute("SET plan_cache_mode = force_generic_plan")
    assert not uses(connection, index, "EXECUTE q ('pending')")


def test_u9_if_not_exists_keeps_an_invalid_index(unpuzzle: Database) -> None:
    connection = unpuzzle.connect()
    connection.execute(
        "INSERT INTO enrollments (user_id, course_id)"
        " SELECT gen_random_uuid(), %s FROM generate_series(1, 2)",
        ["0" * 32],
    )
    with pytest.raises(errors.UniqueViolation):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY left_over ON enrollments (course_id)")
    notices: list[str | None] = []
    connection.add_notice_handler(lambda diag: notices.append(diag.sqlstate))
    connection.execute(statement("U9"))
    assert notices == ["42P07"]
    assert not is_valid(unpuzzle, "left_over")


@pytest.mark.parametrize(
    ("id_", "setting", "error"),
    [
        ("U11", "lock_timeout", errors.LockNotAvailable),
        ("U12", "statement_timeout", errors.QueryCanceled),
    ],
)
def test_u11_u12_build_waits_for_old_snapshots_and_a_timeout_leaves_it_invalid(
    unpuzzle: Database, id_: str, setting: str, error: type[psycopg.Error]
) -> None:
    connection = unpuzzle.connect()
    connection.execute(f"SET {setting} = '300ms'".encode())
    with old_snapshot(unpuzzle), pytest.raises(error):
        connection.execute(statement(id_))
    assert not is_valid(unpuzzle, "left_over")


def test_u11_drop_waits_for_readers_too(unpuzzle: Database) -> None:
    connection = unpuzzle.connect()
    connection.execute("SET lock_timeout = '300ms'")
    with old_snapshot(unpuzzle), pytest.raises(errors.LockNotAvailable):
        connection.execute("DROP INDEX CONCURRENTLY idx_enrollments_user_id")
    assert not is_valid(unpuzzle, "idx_enrollments_user_id")


def test_u14_update_of_an_included_column_is_no_longer_hot(unpuzzle: Database) -> None:
    unpuzzle.execute(
        "INSERT INTO course_goal_assignments (course_id, goal_id)"
        " SELECT gen_random_uuid(), gen_random_uuid()"
    )

    def n_hot() -> int:
        with unpuzzle.connect(autocommit=False) as connection:
            connection.execute("UPDATE course_goal_assignments SET status = status || '.'")
            ((n,),) = connection.execute(
                "SELECT pg_stat_get_xact_tuples_hot_updated('course_goal_assignments'::regclass)"
            ).fetchall()
        return int(n)

    assert n_hot() == 1
    unpuzzle.execute(SHAPES["U14"].statement)
    assert n_hot() == 0


def test_l2_script_that_goes_on_after_an_error_loses_the_old_index(lms: Database) -> None:
    connection = lms.connect()
    connection.execute('DROP INDEX IF EXISTS "course_progress_progressPercent_idx"')
    with pytest.raises(errors.UndefinedColumn):
        connection.execute(statement("L2"))
    left = connection.execute(
        "SELECT FROM pg_catalog.pg_indexes WHERE indexname IN"
        " ('course_progress_progressPercent_idx', 'course_progress_incomplete_idx')"
    )
    assert left.fetchall() == []


def test_l3_one_batch_is_rolled_back_as_a_whole(lms: Database) -> None:
    connection = lms.connect()
    with pytest.raises(errors.ActiveSqlTransaction):
        connection.execute("CREATE INDEX users_role_idx ON users (role); VACUUM ANALYZE")
    count = "SELECT count(*) FROM pg_catalog.pg_indexes WHERE schemaname = 'public'"
    assert connection.execute(count).fetchall() == [(46,)]


def locks(connection: Connection, table: str) -> set[str]:
    found = connection.execute(
        "SELECT mode FROM pg_catalog.pg_locks"
        " WHERE relation = %s::regclass AND pid = pg_backend_pid()",
        [table],
    )
    return {mode for (mode,) in found.fetchall()}


@pytest.mark.parametrize(
    ("id_", "name", "table"), [("L4", "lms", "courses"), ("P12", "proposals", "proposals")]
)
def test_l4_p12_plain_build_blocks_writers(
    database: Database, id_: str, name: str, table: str
) -> None:
    connection = tables_of(database.connect(), name)
    with connection.transaction():
        connection.execute(statement(id_))
        assert "ShareLock" in locks(connection, table)


def test_l4_plain_drop_blocks_everybody(lms: Database) -> None:
    connection = lms.connect()
    with connection.transaction():
        connection.execute("DROP INDEX courses_slug_idx")
        assert "AccessExclusiveLock" in locks(connection, "courses")


@pytest.mark.pg("== 15")
def test_l8_l10_columns_of_the_statement_counters_have_other_names(
    database: Database, limited_role: Role
) -> None:
    database.execute("CREATE EXTENSION pg_stat_statements")
    for column in ("total_time", "mean_time", "max_time"):
        with pytest.raises(errors.UndefinedColumn):
            database.execute(f"SELECT {column} FROM pg_stat_statements")
    database.execute(
        "SELECT total_exec_time, mean_exec_time, max_exec_time FROM pg_stat_statements"
    )
    texts = database.execute("SELECT DISTINCT query FROM pg_stat_statements", role=limited_role)
    assert ("<insufficient privilege>",) in texts


def test_l11_list_of_unused_indexes_offers_unique_ones(lms: Database) -> None:
    offered = {name for (name,) in lms.execute(SHAPES["L11"].statement)}
    assert {"users_email_key", "courses_slug_key"} <= offered


def test_l13_url_for_prisma_is_not_one_for_libpq() -> None:
    with pytest.raises(psycopg.ProgrammingError):
        psycopg.connect(SHAPES["L13"].statement)


def test_l18_what_is_called_bloat_is_indexes_and_toast(lms: Database) -> None:
    lms.execute("INSERT INTO users (id, email) VALUES ('u', 'user-1@example.org')")
    lms.execute("VACUUM users")
    ((called_bloat,),) = lms.execute(SHAPES["L18"].statement)
    ((indexes_and_more,),) = lms.execute(
        "SELECT pg_indexes_size('users') + pg_relation_size(reltoastrelid)"
        " + pg_indexes_size(reltoastrelid) + pg_relation_size('users', 'vm')"
        " + pg_relation_size('users', 'fsm') FROM pg_class WHERE oid = 'users'::regclass"
    )
    assert called_bloat == indexes_and_more > 0


def test_l16_last_day_of_the_month_is_missed(lms: Database) -> None:
    connection = lms.connect()
    connection.execute(
        "INSERT INTO courses (id, slug, title, \"instructorId\") VALUES ('c', 'c', 'C', 'u');"
        ' INSERT INTO transactions (id, "userId", "courseId", amount, "createdAt")'
        " VALUES ('t', 'u', 'c', 1, '2025-01-31 10:00')"
    )
    assert connection.execute(statement("L16")).fetchall() == []


def test_l19_substrings_and_words_do_not_find_the_same(database: Database) -> None:
    ((substring, words),) = database.execute(
        "SELECT 'AI basics' ILIKE '%ai%', to_tsvector('english', 'AI basics')"
        " @@ websearch_to_tsquery('english', 'ai machine learning')"
    )
    assert (substring, words) == (True, False)


def test_l20_index_of_two_columns_is_no_index_only_scan_for_a_whole_row(lms: Database) -> None:
    connection = lms.connect()
    connection.execute(statement("L20"))
    connection.execute("SET enable_bitmapscan = off")
    query = "SELECT * FROM users WHERE role = 'ADMIN' ORDER BY \"createdAt\" DESC"
    assert {"Index Scan"} == {node["Node Type"] for node in plan(connection, query)}


def test_l21_catalog_index_serves_the_catalog_and_not_the_home_page(lms: Database) -> None:
    connection = lms.connect()
    drop_indexes(connection, "courses")
    connection.execute(statement("L21"))
    connection.execute("SET enable_bitmapscan = off")
    catalog = (
        "SELECT * FROM courses WHERE published = true AND difficulty = 'EXPERT'"
        ' ORDER BY featured DESC, "createdAt" DESC LIMIT 20'
    )
    home = (
        'SELECT * FROM courses WHERE published = true AND featured = true ORDER BY "createdAt" DESC'
    )
    assert uses(connection, "courses_published_catalog_idx", catalog)
    assert not sorts(connection, catalog)
    assert sorts(connection, home)


def test_l22_index_led_by_the_range_loses_to_any_other(lms: Database) -> None:
    connection = lms.connect()
    drop_indexes(connection, "course_progress")
    connection.execute("SET session_replication_role = replica")
    connection.execute(
        'INSERT INTO course_progress (id, "userId", "courseId", "progressPercent",'
        " \"lastAccessedAt\") SELECT n, n, n, n %% 101, (now() AT TIME ZONE 'UTC')"
        " - CASE WHEN n %% 170 = 0 THEN 40 ELSE 0 END * interval '1 day'"
        " FROM generate_series(1, 20000) AS n".replace("%%", "%")
    )
    connection.execute(statement("L22"))
    connection.execute(
        'CREATE INDEX "course_progress_lastAccessedAt_idx" ON course_progress'
        ' ("lastAccessedAt" DESC)'
    )
    connection.execute("VACUUM ANALYZE course_progress")
    query = (
        'SELECT * FROM course_progress WHERE "progressPercent" < 100'
        " AND \"lastAccessedAt\" < (now() AT TIME ZONE 'UTC') - interval '30 days'"
    )
    assert chosen(connection, query) == {"course_progress_lastAccessedAt_idx"}
    connection.execute(
        'CREATE INDEX better ON course_progress ("lastAccessedAt") WHERE "progressPercent" < 100'
    )
    assert chosen(connection, query) == {"better"}


def test_l26_time_without_zone_is_compared_by_the_zone_of_the_session(database: Database) -> None:
    connection = database.connect()
    seen = list[bool]()
    for zone in ("UTC", "Asia/Tokyo"):
        connection.execute(f"SET TimeZone = '{zone}'".encode())
        ((later,),) = connection.execute(
            "SELECT timestamp '2025-01-01 00:30' > timestamptz '2025-01-01 00:00Z'"
        ).fetchall()
        seen.append(later)
    assert seen == [True, False]


def test_n3_bitmap_scan_reads_from_an_index_and_fetches_nothing(nova: Database) -> None:
    connection = nova.connect()
    connection.execute(
        "INSERT INTO messages (conversation_id, sender_id)"
        " SELECT %(one)s, %(one)s FROM generate_series(1, 200)",
        {"one": "0" * 32},
    )
    connection.execute(statement("N3"))
    connection.execute("SET enable_seqscan = off")
    connection.execute("SET enable_indexscan = off")
    connection.execute(
        "SELECT count(content) FROM messages WHERE sender_id = %s AND deleted_at IS NULL",
        ["0" * 32],
    )
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("SELECT 1")
    counted = nova.execute(
        "SELECT idx_tup_read, idx_tup_fetch FROM pg_catalog.pg_stat_user_indexes"
        " WHERE indexrelname = 'idx_messages_sender_created'"
    )
    assert counted == [(200, 0)]


def test_n4_underscore_of_a_pattern_stands_for_any_letter(nova: Database) -> None:
    nova.execute("CREATE INDEX idx_postsxuseryid ON posts (user_id)")
    assert nova.execute(SHAPES["N4"].statement) == [("idx_postsxuseryid",)]


def test_n7_if_not_exists_takes_another_index_of_that_name_for_the_wanted_one(
    database: Database,
) -> None:
    connection = tables_of(database.connect(), "nova/public_schema.sql")
    wanted = SHAPES["N8"].statement.replace("INDEX", "INDEX IF NOT EXISTS", 1)
    connection.execute(wanted.encode())
    ((definition,),) = connection.execute(
        "SELECT pg_get_indexdef('idx_posts_user_created'::regclass)"
    ).fetchall()
    assert "soft_delete" in definition


def test_n8_wanted_index_is_there_by_another_name(database: Database) -> None:
    connection = tables_of(database.connect(), "nova/public_schema.sql")
    connection.execute("ALTER INDEX idx_posts_user_created RENAME TO idx_posts_user_created_old")
    connection.execute(statement("N8"))
    definitions = connection.execute(
        "SELECT DISTINCT replace(pg_get_indexdef(indexrelid), indexrelid::regclass::text, '')"
        " FROM pg_catalog.pg_index WHERE indexrelid IN"
        " ('idx_posts_active'::regclass, 'idx_posts_user_created'::regclass)"
    )
    assert len(definitions.fetchall()) == 1


def test_n10_index_of_narrow_rows_is_more_than_a_fifth_of_its_table(nova: Database) -> None:
    connection = nova.connect()
    connection.execute(
        "INSERT INTO posts (user_id, content)"
        " SELECT gen_random_uuid(), 'x' FROM generate_series(1, 20000)"
    )
    connection.execute(statement("N10"))
    ((share,),) = connection.execute(
        "SELECT pg_relation_size('idx_posts_user_created')::float / pg_relation_size('posts')"
    ).fetchall()
    assert 0.3 < share < 0.7


def test_e2_index_called_unique_takes_duplicates(database: Database) -> None:
    connection = database.connect()
    connection.execute("CREATE TABLE progress (id text, user_id text, lesson_id text)")
    connection.execute(statement("E2"))
    connection.execute("INSERT INTO progress VALUES ('p1', 'u1', 'l1'), ('p2', 'u1', 'l1')")
    with pytest.raises(errors.UniqueViolation):
        connection.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY really ON progress (user_id, lesson_id)"
        )
    assert not is_valid(database, "really")


def test_e3_course_without_description_has_no_words(database: Database) -> None:
    connection = tables_of(database.connect(), "learning_platform")
    connection.execute(statement("E3"))
    connection.execute("INSERT INTO courses (id, title) VALUES ('c', 'Statistics')")
    found = connection.execute(
        "SELECT FROM courses WHERE to_tsvector('english', title || ' ' || description)"
        " @@ to_tsquery('english', 'statistics')"
    )
    assert found.fetchall() == []


def test_e4_other_expression_than_that_of_the_index_does_not_use_it(database: Database) -> None:
    connection = tables_of(database.connect(), "learning_platform")
    connection.execute(statement("E3"))
    words = "to_tsquery('english', 'statistics')"
    for text, used in (
        ("to_tsvector('english', title || ' ' || description)", True),
        ("to_tsvector('english', title)", False),
        ("to_tsvector('english', concat_ws(' ', title, description))", False),
    ):
        query = f"SELECT FROM courses WHERE {text} @@ {words}"
        assert uses(connection, "idx_courses_fulltext", query) == used


def test_e7_missing_score_becomes_the_highest(database: Database) -> None:
    assert database.execute(SHAPES["E7"].statement) == [(100,)]


def test_e24_processes_of_the_server_are_counted_as_connections(database: Database) -> None:
    ((everything,),) = database.execute(SHAPES["E24"].statement)
    ((clients,),) = database.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    )
    assert everything > clients


def test_e25_function_on_the_key_reads_every_partition(database: Database) -> None:
    connection = database.connect()
    connection.execute(
        'CREATE TABLE analytics_events (id text, "timestamp" timestamptz NOT NULL)'
        ' PARTITION BY RANGE ("timestamp");'
        "CREATE TABLE january PARTITION OF analytics_events"
        " FOR VALUES FROM ('2024-01-01 00:00Z') TO ('2024-02-01 00:00Z');"
        "CREATE TABLE february PARTITION OF analytics_events"
        " FOR VALUES FROM ('2024-02-01 00:00Z') TO ('2024-03-01 00:00Z')"
    )
    ranged = (
        "SELECT count(*) FROM analytics_events WHERE \"timestamp\" >= '2024-01-01 00:00Z'"
        " AND \"timestamp\" < '2024-02-01 00:00Z'"
    )

    def read(query: str) -> set[str]:
        return {
            node["Relation Name"] for node in plan(connection, query) if "Relation Name" in node
        }

    assert read(SHAPES["E25"].statement) == {"january", "february"}
    assert read(ranged) == {"january"}


def test_p6_view_that_counts_from_now_changes_with_every_refresh(database: Database) -> None:
    connection = tables_of(database.connect(), "proposals")
    connection.execute("INSERT INTO customers VALUES ('c', 'C')")
    connection.execute("INSERT INTO proposals (id, title, customer_id) VALUES ('p', 'P', 'c')")
    connection.execute(statement("P6"))
    seen = set[Any]()
    for _ in range(2):
        connection.execute("REFRESH MATERIALIZED VIEW waiting")
        seen.update(connection.execute("SELECT * FROM waiting").fetchall())
    assert len(seen) == 2


def test_p13_predicate_on_a_column_that_is_never_null_leaves_nothing_out(
    database: Database,
) -> None:
    connection = tables_of(database.connect(), "proposals/prisma_schema.sql")
    connection.execute(
        "INSERT INTO hypothesis_validation_events SELECT n, 'u', 'H1', 's', 'c', 'a', '{}',"
        " 1, 1, 0, 'r', 's', NULL FROM generate_series(1, 100) AS n"
    )
    connection.execute(statement("P13"))
    connection.execute("VACUUM ANALYZE hypothesis_validation_events")
    ((entries,),) = connection.execute(
        "SELECT reltuples FROM pg_class WHERE relname = 'idx_hypothesis_validation_compound'"
    ).fetchall()
    assert entries == 100


def test_p7_day_of_a_proposal_follows_the_session(database: Database) -> None:
    connection = database.connect()
    connection.execute("SET TimeZone = 'Asia/Tokyo'")
    day = "SELECT date_trunc('day', timestamptz '2025-01-01 16:00Z') AT TIME ZONE 'UTC'"
    ((start,),) = connection.execute(day.encode()).fetchall()
    assert start.hour == 15


def test_p10_check_lets_null_pass(database: Database) -> None:
    connection = database.connect()
    connection.execute("CREATE TABLE proposal_products (quantity integer)")
    connection.execute(statement("P10"))
    connection.execute("INSERT INTO proposal_products VALUES (NULL)")


def test_p14_btree_on_an_array_does_not_answer_what_contains(database: Database) -> None:
    connection = tables_of(database.connect(), "proposals/prisma_schema.sql")
    drop_indexes(connection, "content")
    connection.execute(statement("P14"))
    connection.execute("SET enable_bitmapscan = off")
    query = (
        "SELECT * FROM content WHERE type = 'TEXT' AND \"isActive\" = true"
        " AND category @> ARRAY['legal']"
    )
    (scan,) = [node for node in plan(connection, query) if "Index Cond" in node]
    assert scan["Index Name"] == "by_category"
    assert "category" not in scan["Index Cond"]


def test_p15_customer_alone_is_served_only_by_a_skip_scan(database: Database) -> None:
    connection = tables_of(database.connect(), "proposals")
    connection.execute("SET session_replication_role = replica")
    connection.execute(
        "INSERT INTO proposals (id, title, customer_id, status)"
        " SELECT n, n, 'c' || n / 10, 'S' || n % 5 FROM generate_series(1, 20000) AS n"
    )
    connection.execute(statement("P15"))
    connection.execute("VACUUM ANALYZE proposals")
    ((found,),) = connection.execute(
        "EXPLAIN (FORMAT JSON) SELECT * FROM proposals WHERE customer_id = 'c77'"
    ).fetchall()
    searches = {node["Node Type"] for node in nodes(found[0]["Plan"])}
    assert ("Seq Scan" not in searches) == (database.server.major >= 18)
