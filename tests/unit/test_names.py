"""SQL names, checked with PostgreSQL's own parser."""

import re

import pglast
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pglast import ast, keywords

from maintenance.names import (
    QUOTED_KEYWORDS,
    QualifiedName,
    cut,
    is_helper,
    literal,
    near,
    parse_name,
    quote,
    slug,
)

HOSTILE = [
    "orders",
    "_x1",
    "Order Log",
    'a"b',
    '"; DROP TABLE x; --',
    "a.b",
    "select",
    "user",
    "between",
    "name",
    "größe",
    "ÄRGER",
    "🙂",
    "a\nb",
    "a\\b",
    "1a",
    "a$1",
    " a ",
    "Δ" * 31,
]
NAMES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1).map(cut)


def parsed(sql: str) -> tuple[str | None, str | None]:
    """Schema and name of the table that PostgreSQL reads out of a SELECT."""
    statement = pglast.parse_sql(sql)[0].stmt
    assert isinstance(statement, ast.SelectStmt)
    assert statement.fromClause is not None
    table = statement.fromClause[0]
    assert isinstance(table, ast.RangeVar)
    return table.schemaname, table.relname


@pytest.mark.parametrize("name", HOSTILE)
def test_quoted_name_reads_as_itself(name: str) -> None:
    assert parsed(f"SELECT FROM {quote(name)}.{quote(name)}") == (name, name)
    assert parse_name(str(QualifiedName(name, name))) == QualifiedName(name, name)


@given(NAMES, NAMES)
def test_any_quoted_name_reads_as_itself(schema: str, name: str) -> None:
    assert parsed(f"SELECT FROM {quote(schema)}.{quote(name)}") == (schema, name)
    assert parse_name(str(QualifiedName(schema, name))) == QualifiedName(schema, name)


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("orders", "orders"),
        ("Orders", '"Orders"'),
        ("select", '"select"'),
        ("between", '"between"'),
        ("left", '"left"'),
        ("name", "name"),
        ("a$1", '"a$1"'),
        ("größe", '"größe"'),
        ('a"b', '"a""b"'),
    ],
)
def test_quotes_stand_where_quote_ident_puts_them(name: str, quoted: str) -> None:
    assert quote(name) == quoted


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_no_server_can_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(name))):
        quote(name)


@given(NAMES)
def test_literal_reads_as_its_text(text: str) -> None:
    statement = pglast.parse_sql(f"SELECT {literal(text)}")[0].stmt
    assert isinstance(statement, ast.SelectStmt)
    assert statement.targetList is not None
    constant = statement.targetList[0].val
    assert isinstance(constant, ast.A_Const)
    assert constant.val == ast.String(text)


@pytest.mark.parametrize(
    "text",
    [
        "Orders",
        "sales.Orders",
        '"Sales"."Order Log"',
        "ÄRGER",
        "🙂",
        ' "a" . b ',
        "a$1",
        "x\u00a0y",
    ],
)
def test_name_is_read_as_the_server_reads_it(text: str) -> None:
    schema, name = parsed(f"SELECT FROM {text}")
    assert parse_name(text) == (schema or "public", name)


@pytest.mark.parametrize(
    "text", ["", " ", ".", "a.", ".a", "a..b", "a b", "1a", "$a", '""', '"a', 'a"b"', "a;", '"\0"']
)
def test_text_that_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_name(text)


def test_third_part_is_refused() -> None:
    with pytest.raises(ValueError, match=r"db\.public\.orders"):
        parse_name("db.public.orders")


def test_name_the_server_would_cut_is_refused() -> None:
    assert parse_name("ü" * 31).name == "ü" * 31
    with pytest.raises(ValueError, match="63"):
        parse_name("ü" * 32)


def test_default_schema_is_the_callers() -> None:
    assert parse_name("orders", "sales") == QualifiedName("sales", "orders")


@given(st.text(), st.integers(0, 70))
def test_cut_fits_and_is_a_prefix(text: str, max_bytes: int) -> None:
    text = text.encode(errors="ignore").decode()
    short = cut(text, max_bytes)
    assert len(short.encode()) <= max_bytes
    assert text.startswith(short)
    assert short == text or len(text[: len(short) + 1].encode()) > max_bytes


def test_near_names_ignore_case_and_underscores() -> None:
    assert near("createdAt", ["created_at", "updated_at"]) == ["created_at", "updated_at"]
    assert near("premak", ["table", "premake"]) == ["premake"]
    assert near("zzz", ["table", "premake"]) == []


@given(st.tuples(NAMES, NAMES), st.tuples(NAMES, NAMES))
def test_slugs_of_different_names_differ(one: tuple[str, str], other: tuple[str, str]) -> None:
    slugs = {slug(QualifiedName(*one)), slug(QualifiedName(*other))}
    assert len(slugs) == len({one, other})
    assert all(re.fullmatch("[A-Za-z0-9_]+", each) for each in slugs)


def test_slug_of_a_plain_public_name_is_the_name() -> None:
    assert slug(QualifiedName("public", "orders")) == "orders"
    assert slug(QualifiedName("a", "b")) != slug(QualifiedName("public", "a_b")) == "a_b"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("maintenance_drain_16400_copy_2026_09", True),
        ('public."maintenance_drain_16400_copy_2026_09_Pkey"', True),
        ("app.maintenance_restore_events_2026_09_ab12", True),
        ("app.maintenance_rebuild_ab12", True),
        ("public.maintenance_drain_plan", False),
        ("public.maintenance_events", False),
        ("maintenance.run", False),
        ("public.my_maintenance_restore_log", False),
    ],
)
def test_helper_tables_are_known_by_their_names(name: str, expected: bool) -> None:
    assert is_helper(name) is expected


def test_keywords_that_are_quoted_are_those_of_the_parser() -> None:
    reserved = keywords.RESERVED_KEYWORDS | keywords.TYPE_FUNC_NAME_KEYWORDS
    assert reserved | keywords.COL_NAME_KEYWORDS == QUOTED_KEYWORDS
