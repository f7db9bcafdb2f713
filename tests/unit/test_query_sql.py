"""Declared queries: what a file may say, and where a fault is."""

from pathlib import Path

import pytest

from maintenance.errors import PolicyError, Problem, ProblemReason
from maintenance.policy import load_policy
from maintenance.policy.query_sql import (
    DeclaredQuery,
    Order,
    QueryFilesError,
    RelationName,
    parse_query,
    read_queries,
)

MESSAGES = """-- the newest messages of a sender
-- params: '00000000-0000-0000-0000-000000000001', 50
-- params: '00000000-0000-0000-0000-000000000002'::uuid, 10 + 40
SELECT id, content FROM messages AS m
 WHERE m.sender_id = $1 AND deleted_at IS NULL AND created_at < now() - interval '1 day'
 ORDER BY m.created_at DESC, id NULLS FIRST LIMIT $2; -- the end
"""


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(QueryFilesError) as caught:
        parse_query(text, "q", "q.sql")
    return caught.value.problems


def problem(text: str) -> Problem:
    (only,) = problems(text)
    return only


def test_query_is_read_with_its_sets_of_parameters() -> None:
    query = parse_query(MESSAGES, "messages")
    assert query.name == "messages"
    assert query.text.startswith("SELECT id")
    assert query.text.endswith("LIMIT $2")
    assert query.n_parameters == 2
    assert list(query.numbers) == [1, 2]
    assert query.parameter_sets[1] == "'00000000-0000-0000-0000-000000000002'::uuid, 10 + 40"
    assert query.relations == (RelationName(None, "messages"),)
    assert query.functions == (RelationName(None, "now"),)
    assert query.equal == {"sender_id", "deleted_at"}
    assert query.ranged == {"created_at"}
    assert query.order == (Order("created_at", True, True), Order("id", False, True))


def test_query_without_placeholders_has_one_empty_set() -> None:
    query = parse_query("SELECT 1 ORDER BY length('a')", "one")
    assert query.parameter_sets == ("",)
    assert query.order is None
    assert "(" not in query.execute(1)


def test_with_query_is_no_relation() -> None:
    text = "WITH recent AS (SELECT * FROM public.a) SELECT * FROM recent JOIN app.b USING (id)"
    assert parse_query(text, "q").relations == (
        RelationName("public", "a"),
        RelationName("app", "b"),
    )


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("", 1, 1),
        ("-- nothing\n;", 1, 1),
        ("SELEC 1", 1, 1),
        ("SELECT *\nFROM t\nWHERE (a", 3, 9),
        ("SELECT 1;\n  SELECT 2", 2, 3),
        ("\nDELETE FROM t", 2, 1),
        ("VACUUM t", 1, 1),
        ("SELECT * FROM t FOR UPDATE", 1, 1),
        ("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", 1, 24),
        ("SELECT * INTO z FROM t", 1, 15),
        ("SELECT 'ü',\n pg_sleep(1)", 2, 2),
        ("SELECT nextval('s')", 1, 8),
        ("SELECT pg_catalog.random()", 1, 8),
    ],
)
def test_file_that_is_not_one_read_only_query_is_refused_at_its_place(
    text: str, line: int, column: int
) -> None:
    found = problem(text)
    assert (found.file, found.line, found.column) == ("q.sql", line, column)
    assert found.reason is ProblemReason.MALFORMED


@pytest.mark.parametrize(
    ("lines", "reason", "line", "column"),
    [
        ("", ProblemReason.MISSING, 1, 27),
        ("-- params: 1, 2\n", ProblemReason.OUT_OF_RANGE, 1, 11),
        ("-- params: 1\n-- params: 1, 2\n", ProblemReason.OUT_OF_RANGE, 2, 11),
        ("-- params:\n", ProblemReason.MALFORMED, 1, 11),
        ("-- params: 'a\n", ProblemReason.MALFORMED, 1, 12),
        ("-- params: abc\n", ProblemReason.MALFORMED, 1, 12),
        ("-- params: (SELECT 1)\n", ProblemReason.MALFORMED, 1, 12),
        ("-- params: random()\n", ProblemReason.MALFORMED, 1, 12),
        ("-- params: 1); DROP TABLE t; --\n", ProblemReason.MALFORMED, 1, 32),
        ("-- param: 1\n", ProblemReason.UNKNOWN_KEY, 1, 4),
    ],
)
def test_parameters_that_do_not_fit_are_refused_at_their_place(
    lines: str, reason: ProblemReason, line: int, column: int
) -> None:
    found = problem(f"{lines}SELECT * FROM t WHERE a = $1")
    assert (found.reason, found.line, found.column) == (reason, line, column)


def test_values_for_a_query_without_placeholders_are_refused() -> None:
    assert problem("-- params: 1\nSELECT 1").reason is ProblemReason.OUT_OF_RANGE


def test_gap_in_the_numbers_of_placeholders_is_refused() -> None:
    found = problem("-- params: 1, 2\nSELECT * FROM t WHERE a = $2")
    assert (found.line, found.column) == (2, 27)


def test_ordinary_comments_are_free() -> None:
    text = "-- dashboard: the front page\n-- since: 15\n/* -- params: 1 */\nSELECT 1"
    assert parse_query(text, "q").parameter_sets == ("",)


def test_folder_is_read_in_the_order_of_names_and_again_after_a_change(tmp_path: Path) -> None:
    (tmp_path / "b.sql").write_text("SELECT 2")
    (tmp_path / "a.sql").write_text("SELECT 1")
    (tmp_path / "notes.md").write_text("no query")
    assert [query.name for query in read_queries(tmp_path)] == ["a", "b"]
    (tmp_path / "a.sql").write_text("SELECT 10")
    assert read_queries(tmp_path)[0].text == "SELECT 10"


def test_every_fault_of_a_folder_is_a_problem_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("SELEC 1")
    (tmp_path / "b c.sql").write_text("SELECT 1")
    (tmp_path / "d.sql").write_bytes(b"SELECT '\xff'")
    with pytest.raises(QueryFilesError) as caught:
        read_queries(tmp_path)
    names = [Path(each.file).name for each in caught.value.problems]
    assert names == ["a.sql", "b c.sql", "d.sql"]


def test_policy_with_a_broken_query_is_refused_with_the_place_in_the_query(tmp_path: Path) -> None:
    queries = tmp_path / "queries"
    queries.mkdir()
    (queries / "q1.sql").write_text("SELECT *\nFROM t WHERE a = $1")
    path = tmp_path / "shop.yaml"
    path.write_text("database: {name: shop, url: {env: U}}\nindexes: {queries: queries}\n")
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    (found,) = caught.value.problems
    assert Path(found.file) == queries / "q1.sql"
    assert (found.line, found.column) == (2, 18)
    (queries / "q1.sql").write_text("-- params: 1\nSELECT * FROM t WHERE a = $1")
    policy = load_policy(path)
    assert policy.indexes is not None
    assert [query.name for query in policy.indexes.declared_queries] == ["q1"]


@pytest.mark.parametrize("value", ["1 hour", "[1 hour]", "[1 hour, 1 hour, 2 hours]", "{}"])
def test_watch_takes_three_growing_durations(tmp_path: Path, value: str) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(f"database: {{name: shop, url: {{env: U}}}}\nindexes: {{watch: {value}}}\n")
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    assert caught.value.problems[0].key.startswith("indexes.watch")


def test_queries_of_the_example_systems_are_declared_queries() -> None:
    systems = Path(__file__).parents[2] / "sql" / "systems"
    found = [each for folder in systems.glob("*/queries") for each in read_queries(folder)]
    assert len(found) >= 6
    assert all(isinstance(each, DeclaredQuery) for each in found)
