"""Plans of declared queries on real servers: used, used but still sorts, not used because …"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from maintenance.demo.postgres import PostgresServer
from maintenance.names import QualifiedName
from maintenance.policy.query_sql import DeclaredQuery, parse_query
from maintenance.server.session import Connection, Timeouts, connect
from maintenance.subjects.indexes.declared.queries import plan_queries
from maintenance.subjects.indexes.declared.query_models import NotRun, PlanMode, PlannedQuery
from maintenance.subjects.indexes.declared.query_session import Limits
from maintenance.subjects.indexes.declared.query_verdicts import (
    IndexKey,
    ProvenIndex,
    QueryUse,
    Reason,
    Use,
    judge,
)
from tests.builders import Database, Role, cloned, make_filled_template, make_role, run_all

LIMITS = Limits(timedelta(seconds=20), "public")


def session(database: Database, role: Role | None = None) -> Connection:
    url = database.url_of(role) if role is not None else database.url
    limit = timedelta(seconds=20)
    return connect(url, application="test", timeouts=Timeouts(limit, limit))


def index(name: str, table: str, *keys: str, **more: Any) -> ProvenIndex:
    """A declared index; a key is a column, with ` DESC` behind it where it descends."""
    parts = [key.partition(" ") for key in keys]
    columns = tuple(
        IndexKey(column or None, "DESC" in rest, "DESC" in rest and "LAST" not in rest)
        for column, _, rest in parts
    )
    relation, of = QualifiedName("public", name), QualifiedName("public", table)
    facts: dict[str, Any] = {"pages": 1000, **more}
    return ProvenIndex(relation, of, columns, **facts)


def planned(database: Database, *queries: DeclaredQuery, indexes: Any = ()) -> list[PlannedQuery]:
    with session(database) as connection:
        return list(plan_queries(connection, queries, LIMITS, indexes))


def used(database: Database, of: ProvenIndex, text: str, number: int = 1) -> QueryUse:
    query = parse_query(text, "q")
    (found,) = planned(database, query, indexes=[of])
    assert found.failure is None
    return judge(of, query, found.sets[number], found.settled)


@pytest.fixture
def shop(server: PostgresServer) -> Iterator[Database]:
    """Tables as the example systems have them, with rows."""
    yield from cloned(server, make_filled_template(server, "shop", run_all(*SHOP)))


SHOP = (
    """CREATE TABLE requests (id int PRIMARY KEY, user_id int, request_type text, status text,
    created_at timestamptz)""",
    """INSERT INTO requests SELECT g, g % 2000, 'refund',
    CASE WHEN g % 20 = 0 THEN 'pending' ELSE 'completed' END, '2026-01-01'::timestamptz
    + g * interval '1 minute' FROM generate_series(1, 40000) g""",
    """CREATE INDEX idx_requests_user_type_status ON requests
    (user_id, request_type, status, created_at DESC) WHERE status <> 'completed'""",
    """CREATE TABLE video_progress (id int PRIMARY KEY, student_id int, course_id int,
    completed bool, last_watched_at timestamptz)""",
    """INSERT INTO video_progress SELECT g, g % 2000, g % 7, g % 2 = 0,
    '2026-01-01'::timestamptz + g * interval '1 minute' FROM generate_series(1, 40000) g""",
    """CREATE INDEX idx_video_progress ON video_progress
    (student_id, course_id, completed, last_watched_at DESC) WHERE completed = true""",
    """CREATE TABLE enrollments (id int PRIMARY KEY, user_id int, progress_percent int,
    last_accessed_at timestamptz, status text)""",
    """INSERT INTO enrollments SELECT g, g % 500, g % 100, '2026-01-01'::timestamptz
    + g * interval '1 minute', 'active' FROM generate_series(1, 40000) g""",
    """CREATE INDEX idx_enrollments ON enrollments
    (user_id, progress_percent, last_accessed_at DESC) WHERE status = 'active'""",
    """CREATE TABLE course_progress (id int PRIMARY KEY, user_id int, progress_percent int,
    last_accessed_at timestamptz)""",
    """INSERT INTO course_progress SELECT g, g % 5000, g % 101, '2026-01-01'::timestamptz
    + g * interval '1 minute' FROM generate_series(1, 40000) g""",
    """CREATE INDEX course_progress_incomplete ON course_progress
    (progress_percent, last_accessed_at DESC) WHERE progress_percent < 100""",
    """CREATE INDEX course_progress_accessed ON course_progress (last_accessed_at DESC)""",
    """CREATE TABLE proposals (id int PRIMARY KEY, status text, customer_id int,
    created_at timestamptz)""",
    """INSERT INTO proposals SELECT g, 'S' || g % 8, g, '2026-01-01'::timestamptz
    + g * interval '1 minute' FROM generate_series(1, 40000) g""",
    """CREATE INDEX idx_proposals ON proposals (status, customer_id, created_at DESC)""",
    """CREATE TABLE courses (id int PRIMARY KEY, title text, description text)""",
    """INSERT INTO courses SELECT g, 'title ' || g, 'about ' || g
    FROM generate_series(1, 20000) g""",
    """CREATE INDEX idx_courses_fulltext ON courses USING gin (to_tsvector('english',
    coalesce(title, '') || ' ' || coalesce(description, '')))""",
    """CREATE TABLE tiny (id int, a int)""",
    """INSERT INTO tiny SELECT g, g FROM generate_series(1, 20) g""",
    """CREATE INDEX idx_tiny ON tiny (a)""",
    "ANALYZE",
)

REQUESTS = index(
    "idx_requests_user_type_status",
    "requests",
    "user_id",
    "request_type",
    "status",
    "created_at DESC",
    predicate="status <> 'completed'",
)
PROGRESS = index(
    "idx_video_progress",
    "video_progress",
    "student_id",
    "course_id",
    "completed",
    "last_watched_at DESC",
    predicate="completed = true",
)
ENROLLMENTS = index(
    "idx_enrollments",
    "enrollments",
    "user_id",
    "progress_percent",
    "last_accessed_at DESC",
    predicate="status = 'active'",
)
INCOMPLETE = index(
    "course_progress_incomplete",
    "course_progress",
    "progress_percent",
    "last_accessed_at DESC",
    predicate="progress_percent < 100",
)
PROPOSALS = index("idx_proposals", "proposals", "status", "customer_id", "created_at DESC")
FULLTEXT = index("idx_courses_fulltext", "courses", "", method="gin")


def test_u8_partial_index_is_used_for_a_value_and_not_by_a_generic_plan(shop: Database) -> None:
    by_value = "-- params: 7\nSELECT * FROM requests WHERE user_id = $1 AND status = 'pending'"
    assert used(shop, REQUESTS, by_value) == (Use.USED, None, "", False)
    by_list = "SELECT * FROM requests WHERE user_id = 7 AND status IN ('pending', 'in_review')"
    assert used(shop, REQUESTS, by_list).use is Use.USED
    text = "-- params: 7, 'pending'\nSELECT * FROM requests WHERE user_id = $1 AND status = $2"
    found = used(shop, REQUESTS, text)
    assert (found.use, found.reason, found.is_cautious) == (Use.USED, Reason.PARAMETER, True)
    (plans,) = planned(shop, parse_query(text, "q"))
    assert plans.settled is PlanMode.CUSTOM
    generic = plans.sets[1].generic
    assert generic is not None
    assert generic.scanned == {REQUESTS.table}


def test_u8_query_without_the_status_can_not_use_it(shop: Database) -> None:
    found = used(shop, REQUESTS, "-- params: 7\nSELECT * FROM requests WHERE user_id = $1")
    assert (found.use, found.reason) == (Use.UNUSED, Reason.PREDICATE)


@pytest.mark.in_turn
def test_u3_only_the_query_for_finished_rows_uses_it(shop: Database) -> None:
    head = "-- params: 5, 3\nSELECT * FROM video_progress WHERE student_id = $1 AND course_id = $2"
    order = "ORDER BY last_watched_at DESC"
    assert used(shop, PROGRESS, f"{head} AND completed = true {order}").use is Use.USED
    for condition in ("", "AND completed = false"):
        found = used(shop, PROGRESS, f"{head} {condition} {order}")
        assert (found.use, found.reason) == (Use.UNUSED, Reason.PREDICATE)


def test_u4_range_column_before_the_order_leaves_a_sort(shop: Database) -> None:
    text = """-- params: 7
    SELECT * FROM enrollments WHERE user_id = $1 AND status = 'active'
    ORDER BY last_accessed_at DESC"""
    found = used(shop, ENROLLMENTS, text)
    assert (found.use, found.reason) == (Use.SORTS, Reason.ORDER)


def test_l22_leading_range_column_is_named(shop: Database) -> None:
    text = """SELECT * FROM course_progress
    WHERE progress_percent < 100 AND last_accessed_at < '2026-01-01 02:00+00'"""
    found = used(shop, INCOMPLETE, text)
    assert (found.use, found.reason) == (Use.UNUSED, Reason.RANGE_FIRST)


def test_p15_filter_without_the_leading_column(shop: Database) -> None:
    text = "-- params: 77\nSELECT * FROM proposals WHERE customer_id = $1"
    found = used(shop, PROPOSALS, text)
    if shop.server.major >= 18:  # skip scan
        assert found.use is Use.USED
    else:
        assert (found.use, found.reason) == (Use.UNUSED, Reason.LEADING)
    by_both = "-- params: 'S5', 77\nSELECT * FROM proposals WHERE status = $1 AND customer_id = $2"
    assert used(shop, PROPOSALS, by_both).use is Use.USED


@pytest.mark.in_turn
def test_e4_another_expression_than_the_index_has(shop: Database) -> None:
    declared = """-- params: 'title'
    SELECT id FROM courses WHERE to_tsvector('english', coalesce(title, '') || ' ' ||
    coalesce(description, '')) @@ websearch_to_tsquery('english', $1) AND id < 10"""
    other = """-- params: 'title & 7'
    SELECT id FROM courses WHERE to_tsvector('english', title) @@ to_tsquery('english', $1)"""
    found = used(shop, FULLTEXT, other)
    assert (found.use, found.reason) == (Use.UNUSED, Reason.EXPRESSION)
    rare = declared.replace("'title'", "'7777'").replace(" AND id < 10", "")
    assert used(shop, FULLTEXT, rare).use is Use.USED


@pytest.mark.in_turn
def test_table_of_a_few_blocks_is_read_whole(shop: Database) -> None:
    tiny = index("idx_tiny", "tiny", "a", pages=1)
    found = used(shop, tiny, "-- params: 3\nSELECT * FROM tiny WHERE a = $1")
    assert (found.use, found.reason) == (Use.UNUSED, Reason.SMALL)


@pytest.mark.in_turn
def test_nulls_at_the_other_end_leave_a_sort(shop: Database) -> None:
    text = """SELECT * FROM proposals WHERE status = 'S5' AND customer_id > 39990
    ORDER BY status, customer_id DESC NULLS LAST"""
    found = used(shop, PROPOSALS, text)
    assert (found.use, found.reason) == (Use.SORTS, Reason.ORDER)


def test_plans_of_partitions_are_those_of_their_table(database: Database) -> None:
    for statement in (
        "CREATE TABLE events (id int, at date, user_id int) PARTITION BY RANGE (at)",
        "CREATE INDEX idx_events ON events (user_id, at DESC)",
        *(
            f"CREATE TABLE events_{m} PARTITION OF events"
            f" FOR VALUES FROM ('2026-{m:02}-01') TO ('2026-{m + 1:02}-01')"
            for m in range(1, 4)
        ),
        """INSERT INTO events SELECT g, '2026-01-01'::date + g % 89, g % 3000
        FROM generate_series(1, 30000) g""",
        "ANALYZE events",
    ):
        database.execute(statement)
    query = parse_query("-- params: 7\nSELECT * FROM events WHERE user_id = $1", "q")
    of = index("idx_events", "events", "user_id", "at DESC")
    (before,) = planned(database, query)
    assert judge(of, query, before.sets[1], before.settled).use is Use.USED
    assert before.sets[1].custom.indexes == {of.relation}
    digest = before.sets[1].custom.digest
    database.execute(
        "CREATE TABLE events_4 PARTITION OF events FOR VALUES FROM ('2026-04-01') TO ('2026-05-01')"
    )
    (after,) = planned(database, query)
    assert after.sets[1].custom.digest == digest


def test_u5_order_column_that_is_only_included_leaves_a_sort(shop: Database) -> None:
    shop.execute(
        "CREATE INDEX idx_included ON course_progress (user_id) INCLUDE (last_accessed_at)"
    )
    shop.execute("VACUUM course_progress")
    of = index(
        "idx_included", "course_progress", "user_id", included=frozenset({"last_accessed_at"})
    )
    text = """-- params: 77
    SELECT last_accessed_at FROM course_progress WHERE user_id = $1 ORDER BY last_accessed_at"""
    found = used(shop, of, text)
    assert (found.use, found.reason) == (Use.SORTS, Reason.ORDER)


# What is not run


@pytest.mark.in_turn
def test_l19_text_that_is_no_tsquery_is_told_without_the_text(shop: Database) -> None:
    text = """-- params: 'basics'
    -- params: 'machine learning'
    SELECT id FROM courses WHERE to_tsvector('english', title) @@ to_tsquery('english', $1)"""
    (found,) = planned(shop, parse_query(text, "q"))
    assert found.failure is not None
    assert (found.failure.reason, found.failure.sqlstate) == (NotRun.ERROR, "42601")
    assert "machine" not in found.failure.text
    assert "parameters 2" in found.failure.text


@pytest.mark.in_turn
def test_query_that_can_not_run_says_why(shop: Database) -> None:
    shop.execute("CREATE FUNCTION touch() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1'")
    texts = {
        "SELECT * FROM nowhere": NotRun.NO_RELATION,
        "SELECT * FROM shop.tiny": NotRun.NO_RELATION,
        "SELECT touch() FROM tiny": NotRun.VOLATILE,
        "SELECT pg_relation_size('tiny')": NotRun.VOLATILE,
        "SELECT nothing FROM tiny": NotRun.ERROR,
        "-- params: 1\nSELECT $1": None,
    }
    queries = [parse_query(text, f"q{n}") for n, text in enumerate(texts)]
    found = planned(shop, *queries)
    assert [each.failure and each.failure.reason for each in found] == list(texts.values())
    assert found[4].failure is not None
    assert found[4].failure.sqlstate == "42703"


@pytest.mark.in_turn
def test_locked_table_is_said_to_be_locked(shop: Database) -> None:
    holder = shop.connect(autocommit=False)
    holder.execute("LOCK TABLE tiny")
    (found,) = planned(shop, parse_query("SELECT * FROM tiny", "q"))
    assert found.failure is not None
    assert found.failure.reason is NotRun.LOCKED


# Rights


@pytest.mark.in_turn
def test_query_runs_with_the_rights_of_the_owner_of_its_table(shop: Database) -> None:
    owner = make_role(shop.server, "owner")
    shop.execute("CREATE SCHEMA app")
    shop.execute(f"ALTER SCHEMA app OWNER TO {owner.name}")
    shop.execute("CREATE TABLE app.mine (id int)")
    shop.execute(
        "CREATE FUNCTION app.who() RETURNS name LANGUAGE plpgsql STABLE AS"
        " $$BEGIN RETURN current_user; END$$"
    )
    shop.execute(f"ALTER FUNCTION app.who() OWNER TO {owner.name}")
    shop.execute(f"ALTER TABLE app.mine OWNER TO {owner.name}")
    text = f"SELECT 1 / (app.who() = '{owner.name}')::int FROM app.mine"
    (found,) = planned(shop, parse_query(text, "q"))
    assert found.failure is None
    # The same function in a query over a table of ours would run with our rights.
    text = "SELECT app.who() FROM tiny"
    (found,) = planned(shop, parse_query(text, "q"))
    assert found.failure is not None
    assert found.failure.reason is NotRun.RIGHTS


@pytest.mark.in_turn
def test_query_changes_nothing_and_leaves_nothing(shop: Database) -> None:
    shop.execute(
        "CREATE FUNCTION sly() RETURNS int LANGUAGE plpgsql STABLE AS $$BEGIN"
        " EXECUTE 'INSERT INTO public.tiny VALUES (99, 99)'; RETURN 1; END$$"
    )
    (found,) = planned(shop, parse_query("SELECT * FROM tiny WHERE a = sly()", "q"))
    assert found.failure is not None
    assert shop.execute("SELECT count(*) FROM tiny WHERE id = 99") == [(0,)]


@pytest.mark.in_turn
def test_plans_are_not_counted_as_use(shop: Database) -> None:
    query = parse_query("SELECT max(user_id) FROM requests WHERE user_id > 10", "q")
    planned(shop, query)
    scans = """SELECT sum(idx_scan) FROM pg_stat_user_indexes
    WHERE indexrelname = 'idx_requests_user_type_status'"""
    assert shop.execute(scans) == [(0,)]


@pytest.mark.in_turn
def test_role_without_rights_of_the_owner_is_told_what_to_grant(shop: Database) -> None:
    owner, visitor = make_role(shop.server, "owner"), make_role(shop.server, "visitor")
    shop.execute(f"ALTER TABLE tiny OWNER TO {owner.name}")
    query = parse_query("SELECT * FROM tiny", "q")
    with session(shop, visitor) as connection:
        (found,) = plan_queries(connection, [query], LIMITS)
    assert found.failure is not None
    assert found.failure.reason is NotRun.RIGHTS
    assert owner.name in found.failure.hint
    shop.execute(f"GRANT {owner.name} TO {visitor.name}")
    with session(shop, visitor) as connection:
        (found,) = plan_queries(connection, [query], LIMITS)
    assert found.failure is None


@pytest.mark.in_turn
def test_owner_that_may_not_read_another_table_is_told(shop: Database) -> None:
    owner = make_role(shop.server, "owner")
    shop.execute(f"ALTER TABLE tiny OWNER TO {owner.name}")
    (found,) = planned(shop, parse_query("SELECT * FROM tiny JOIN courses USING (id)", "q"))
    assert found.failure is not None
    assert (found.failure.reason, found.failure.sqlstate) == (NotRun.RIGHTS, "42501")


@pytest.mark.in_turn
def test_code_of_another_role_does_not_run_with_the_rights_of_the_owner(shop: Database) -> None:
    owner, stranger = make_role(shop.server, "owner"), make_role(shop.server, "stranger")
    shop.execute(f"ALTER TABLE tiny OWNER TO {owner.name}")
    shop.execute(f"CREATE SCHEMA evil AUTHORIZATION {stranger.name}")
    shop.execute(
        "CREATE FUNCTION evil.spy() RETURNS int LANGUAGE plpgsql STABLE AS"
        " $$BEGIN RAISE EXCEPTION 'ran as %', current_user; END$$"
    )
    shop.execute(f"ALTER FUNCTION evil.spy() OWNER TO {stranger.name}")
    shop.execute("CREATE VIEW evil.seen AS SELECT evil.spy() AS id")
    shop.execute(f"ALTER VIEW evil.seen OWNER TO {stranger.name}")
    for text in ("SELECT evil.spy() FROM tiny", "SELECT * FROM tiny JOIN evil.seen USING (id)"):
        (found,) = planned(shop, parse_query(text, "q"))
        assert found.failure is not None
        assert found.failure.reason is NotRun.RIGHTS
        assert found.failure.sqlstate is None, "it did not run at all"
