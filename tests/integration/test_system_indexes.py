"""The declared indexes and queries of the example systems, on their own rows."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from maintenance.demo.postgres import PostgresServer
from maintenance.demo.scales import Scale, fill
from maintenance.engine.findings import FindingKind
from maintenance.names import quote
from maintenance.pipeline import run as pipeline
from tests.builders import ROOT, Database, drop_database, make_database
from tests.conftest import Servers
from tests.declared import SYSTEMS, Query, declared, queries, schema
from tests.example_systems import PARTITIONED, apply_declared, make_partitions, template
from tests.policies import make_policy

NOW = datetime(2026, 11, 20, 11, 30, tzinfo=UTC)
"""For rows that are only compared; queries ask for the last days, so theirs end today."""
OPTIONAL_OF_LMS = 3

every_system = pytest.mark.parametrize("system", SYSTEMS)


@pytest.fixture
def filled(server: PostgresServer, system: str) -> Iterator[Database]:
    """A system with a few thousand rows and without its declared indexes."""
    yield from _clone(server, system, "small")


@pytest.fixture
def stated(server: PostgresServer, system: str) -> Iterator[Database]:
    """A system with as many rows as its plan states, without its declared indexes."""
    yield from _clone(server, system, "stated")


def _clone(server: PostgresServer, system: str, scale: Scale) -> Iterator[Database]:
    database = make_database(server, template(server, system, scale, datetime.now(UTC)))
    yield database
    drop_database(database)


def indexes(database: Database) -> set[str]:
    found = database.execute(
        "SELECT indexname FROM pg_catalog.pg_indexes WHERE schemaname = 'public'"
    )
    return {name for (name,) in found}


@pytest.mark.in_turn
@every_system
def test_every_declared_statement_works_bare(filled: Database, system: str) -> None:
    before = indexes(filled)
    apply_declared(filled.connect(), system)
    after = indexes(filled)
    statements = declared(system)
    assert {each.name for each in statements if each.creates} <= after - before
    assert before - after == {name for each in statements for name in each.drops}
    valid = "SELECT count(*) FROM pg_catalog.pg_index WHERE NOT indisvalid"
    assert filled.execute(valid) == [(0,)]


@pytest.mark.parametrize("system", ["lms"])
def test_lms_has_46_indexes_before_and_58_after_and_the_optional_ones(
    filled: Database, system: str
) -> None:
    assert len(indexes(filled)) == 46
    apply_declared(filled.connect(), system)
    assert len(indexes(filled)) - OPTIONAL_OF_LMS == 58


@pytest.mark.in_turn
@every_system
def test_every_query_runs_and_its_values_are_in_the_rows(filled: Database, system: str) -> None:
    connection = filled.connect()
    apply_declared(connection, system)
    for query in queries(system):
        connection.execute(b"PREPARE q AS " + query.text.encode())
        n_rows = 0
        for call in query.calls:
            connection.execute(f"EXPLAIN {call}".encode())
            n_rows += len(connection.execute(call.encode()).fetchall())
        assert n_rows, query.name
        connection.execute("DEALLOCATE q")


@every_system
@pytest.mark.pg("== 18")
def test_no_declared_index_has_a_constant_in_its_key(
    filled: Database, system: str, tmp_path: Path
) -> None:
    apply_declared(filled.connect(), system)
    policy = make_policy(tmp_path, filled.url, indexes={})
    kinds = [finding.kind for finding in pipeline.plan(policy, only=["indexes"]).findings]
    assert FindingKind.INDEX_PREDICATE_IN_KEY not in kinds


def _others(connection: Any, index: str) -> list[str]:
    """The other indexes of its table that no constraint needs."""
    found = connection.execute(
        "SELECT i.indexrelid::regclass::text FROM pg_catalog.pg_index AS i"
        " JOIN pg_catalog.pg_index AS own USING (indrelid)"
        " WHERE own.indexrelid = %s::regclass AND i.indexrelid <> own.indexrelid"
        " AND NOT EXISTS"
        " (SELECT FROM pg_catalog.pg_constraint AS c WHERE c.conindid = i.indexrelid)",
        [f"public.{quote(index)}"],
    )
    return [name for (name,) in found.fetchall()]


def serves_alone(connection: Any, index: str, served: list[Query]) -> bool:
    """Whether one of the queries takes an index of few rows where it is the only one to take."""
    connection.execute("BEGIN")
    for name in _others(connection, index):
        connection.execute(f"DROP INDEX {name}".encode())
    connection.execute("SET LOCAL enable_seqscan = off")
    found = any(index in used_by(connection, query) for query in served)
    connection.execute("ROLLBACK")
    return found


@every_system
def test_every_declared_index_can_serve_one_of_its_queries(filled: Database, system: str) -> None:
    connection = filled.connect()
    apply_declared(connection, system)
    connection.execute("ANALYZE")
    by_name = {query.name: query for query in queries(system)}
    unfit = [
        each.name
        for each in declared(system)
        if each.creates
        and not serves_alone(connection, each.name, [by_name[name] for name in each.serves])
    ]
    assert unfit == []


@pytest.mark.parametrize("system", ["nova"])
@pytest.mark.pg("== 18")
def test_tables_of_nova_wait_until_they_are_large_and_can_be_converted_then(
    filled: Database, system: str, tmp_path: Path
) -> None:
    file = ROOT / "policies" / f"{system}.yaml"
    sections = yaml.safe_load(file.read_text())["partitions"]
    for size, reason in (("10 GB", "small"), ("1 kB", "converting")):
        tables = [{**each, "convert_when": {"larger_than": size}} for each in sections]
        policy = make_policy(tmp_path, filled.url, *tables)
        report = pipeline.plan(policy, only=["conversion", "partitions"])
        found = {each.object: each.data["reasons"] for each in report.findings}
        assert found == {"public.messages": [reason], "public.posts": [reason]}
        assert all(action.held is not None for action in report.plan.actions)
        assert bool(report.plan.actions) == (reason == "converting")


@pytest.mark.parametrize("system", ["nova"])
@pytest.mark.pg("== 18")
def test_loss_of_an_index_that_nova_expects_is_an_error(
    filled: Database, system: str, tmp_path: Path
) -> None:
    expected = yaml.safe_load((ROOT / f"policies/{system}.yaml").read_text())["indexes"]["expected"]
    filled.execute("ANALYZE")

    def missed(**section: Any) -> dict[str, Any]:
        section = {"expected": expected, **section}
        policy = make_policy(tmp_path, filled.url, indexes=section)
        found = pipeline.plan(policy, only=["indexes"]).findings
        kind = FindingKind.INDEX_NOT_AS_EXPECTED
        return {each.object: each.data["reason"] for each in found if each.kind is kind}

    assert missed().keys() == {
        "public.idx_messages_sender_created",
        "public.idx_posts_user_created",
    }
    folder = ROOT / "sql/systems" / system
    declared_too = {"declared": str(folder / "indexes.sql"), "queries": str(folder / "queries")}
    assert missed(**declared_too) == {}, "a finding of its declaration"
    apply_declared(filled.connect(), system)
    assert missed() == {}
    filled.execute("DROP INDEX public.idx_users_email")
    assert missed() == {"public.idx_users_email": "missing"}
    expected[1]["of_table"] = 0.01
    assert missed()["public.idx_messages_sender_created"] == "size"


@pytest.mark.parametrize("system", ["nova"])
@pytest.mark.pg("== 18")
def test_columns_that_nova_looks_up_by_can_have_no_null(filled: Database, system: str) -> None:
    nullable = filled.execute(
        "SELECT table_name, is_nullable FROM information_schema.columns"
        " WHERE (table_name, column_name) IN (('messages', 'sender_id'), ('posts', 'user_id'))"
    )
    assert sorted(nullable) == [("messages", "NO"), ("posts", "NO")]


# The same applications as their public repositories have them


DRIFT = {
    "unpuzzle/public_schema.sql": {
        "idx_video_progress_student_course_completion": "42703",
        "idx_enrollments_user_progress_active": "42703",
        "idx_course_goal_assignments_goal_course": "42703",
        "idx_course_track_assignments_track_course": "42703",
        "idx_message_attachments_message_type": "42703",
        "idx_ai_interactions_student_course_time": "42703",
        "idx_learning_milestones_user_progress": "42703",
        "idx_learning_activities_user_course_date": "42703",
    },
    "nova/public_schema.sql": {"idx_posts_user_created": "42P07"},
    "proposals/prisma_schema.sql": {
        "idx_hypothesis_events_user_timestamp_hypothesis": "42703",
        "idx_proposal_status_customer_created": "42703",
        "idx_content_search_optimization": "42703",
        "idx_approval_execution_status_workflow_started": "42703",
        "idx_validation_issues_entity_severity_status": "42703",
        "idx_hypothesis_validation_compound": "42703",
        "idx_performance_baseline_lookup": "42703",
        "hypothesis_validation_events": "42703",
    },
}
"""The declared statements that do not fit other tables, with what the server says."""


@pytest.mark.in_turn
@pytest.mark.parametrize("tables", DRIFT)
def test_declared_statements_that_do_not_fit_the_public_tables_are_known(
    database: Database, tables: str
) -> None:
    system, _, file = tables.partition("/")
    connection = database.connect()
    connection.execute(schema(system, file).encode())
    refused = dict[str, str | None]()
    for each in declared(system):
        try:
            connection.execute(each.text.encode())
        except psycopg.Error as exc:
            refused[each.name] = exc.sqlstate
    assert refused == DRIFT[tables]


def test_indexes_written_for_the_public_tables_replace_six(database: Database) -> None:
    connection = database.connect()
    connection.execute(schema("unpuzzle", "public_schema.sql").encode())
    before = indexes(database)
    apply_declared(connection, "unpuzzle", "public_indexes.sql")
    assert len(indexes(database) - before) == 9
    assert before - indexes(database) == {
        "course_goal_assignments_goal_id_idx",
        "course_track_assignments_track_id_idx",
        "idx_conversation_messages_timeline",
        "idx_message_attachments_message",
        "idx_ai_interactions_user_course",
        "idx_learning_activities_user_course",
    }


# The rows


def _content(database: Database) -> dict[str, str]:
    tables = database.execute(
        "SELECT relname FROM pg_catalog.pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    found = dict[str, str]()
    for (table,) in tables:
        rows = database.execute(f"SELECT t::text FROM public.{quote(table)} AS t ORDER BY 1")
        found[table] = hashlib.sha256(repr(rows).encode()).hexdigest()
        assert rows, table
    return found


@every_system
def test_rows_are_the_same_on_every_server_and_in_every_time_zone(
    servers: Servers, system: str
) -> None:
    contents = list[dict[str, str]]()
    for major, zone in ((18, "America/New_York"), (15, "Asia/Tokyo")):
        database = make_database(servers.get(major))
        connection = database.connect(options=f"-c TimeZone={zone}")
        connection.execute(schema(system).encode())
        if system in PARTITIONED:
            make_partitions(connection, PARTITIONED[system], NOW, 3)
        fill(connection, system, "small", now=NOW)
        contents.append(_content(database))
        drop_database(database)
    assert contents[0] == contents[1]


@every_system
@pytest.mark.pg("== 18")
def test_rows_point_only_to_addresses_that_no_one_has(filled: Database, system: str) -> None:
    columns = filled.execute(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND column_name = 'email'"
    )
    for table, column in columns:
        others = f"SELECT count(*) FROM {table} WHERE {column} NOT LIKE '%@example.org'"
        assert filled.execute(others) == [(0,)]


# What the planner takes, at the stated number of rows

SMALLER_THERE = {
    "unpuzzle": {
        "idx_enrollments_user_progress_active",
        "idx_conversation_messages_timeline_optimized",
        "idx_message_attachments_message_type",
    },
    "lms": {
        "transactions_userId_createdAt_idx",
        "course_progress_userId_lastAccessedAt_idx",
        "quiz_attempts_userId_startedAt_idx",
        "certificates_userId_issuedAt_idx",
    },
}
"""May not be used while a smaller index with the first of their columns is there."""

SUPERFLUOUS = {
    "unpuzzle": {
        "idx_enrollments_user_id",
        "idx_conversation_messages_timeline",
        "idx_message_attachments_message",
    },
    "lms": {
        "transactions_userId_idx",
        "course_progress_userId_idx",
        "quiz_attempts_userId_idx",
        "certificates_userId_idx",
    },
}
"""Those smaller ones, which advice calls redundant."""

FEW_PAGES = {"lms": {"courses_difficulty_idx", "courses_price_idx"}}
"""Not used: 300 courses on 37 pages are read sooner, for the sixth of them and more that match."""


def index_names(node: dict[str, Any]) -> set[str]:
    below = [index_names(child) for child in node.get("Plans", [])]
    own = {node["Index Name"]} if "Index Name" in node else set[str]()
    return own.union(*below)


def used_by(connection: Any, query: Query) -> set[str]:
    """The indexes in the plans of a query for its sets of values, those of partitions by parent."""
    connection.execute(b"PREPARE q AS " + query.text.encode())
    found = set[str]()
    for call in query.calls:
        ((plan,),) = connection.execute(f"EXPLAIN (FORMAT JSON) {call}".encode()).fetchall()
        found |= index_names(plan[0]["Plan"])
    connection.execute("DEALLOCATE q")
    parents = connection.execute(
        "SELECT c.relname, i.inhparent::regclass::text FROM pg_catalog.pg_class AS c"
        " JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = c.oid WHERE c.relkind = 'i'"
    )
    parent_of = dict(parents.fetchall())
    return {parent_of.get(name, name) for name in found}


def not_used(connection: Any, system: str) -> set[str]:
    """The declared indexes that none of the queries they serve uses."""
    used = {query.name: used_by(connection, query) for query in queries(system)}
    created = [each for each in declared(system) if each.creates]
    return {each.name for each in created if not any(each.name in used[q] for q in each.serves)}


@pytest.mark.slow
@every_system
def test_planner_uses_the_declared_indexes_at_the_stated_scale(
    stated: Database, system: str
) -> None:
    connection = stated.connect()
    apply_declared(connection, system)
    connection.execute("VACUUM (ANALYZE)")
    few = FEW_PAGES.get(system, set())
    assert few <= not_used(connection, system) <= few | SMALLER_THERE.get(system, set())
    for name in SUPERFLUOUS.get(system, ()):
        connection.execute(f"DROP INDEX {quote(name)}".encode())
    assert not_used(connection, system) == few
