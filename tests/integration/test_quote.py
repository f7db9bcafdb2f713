"""Quoting: what every server says, held against `names`."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maintenance.demo.postgres import PostgresServer
from maintenance.names import literal, quote

pytestmark = pytest.mark.in_turn

HOSTILE = [
    "plain",
    "_under",
    "with1digit",
    "1digit_first",
    "Upper",
    "camelCase",
    "a b",
    "a.b",
    'a"b',
    '"',
    '""',
    "a'b",
    "a\\b",
    "a$b",
    "a-b",
    "a%b",
    "%(x)s",
    "{}",
    "new\nline",
    "tab\t",
    " ",
    "é",
    "straße",
    "İ",
    "\u017f",
    "ключ",
    "🐘",
    "zero\u200bwidth",
    "\x01",
    "x" * 63,
    "; DROP TABLE users; --",
]


@pytest.fixture
def connection(server: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        yield connection


def test_hostile_names_are_quoted_as_the_server_does(connection: psycopg.Connection[Any]) -> None:
    rows = connection.execute(
        "SELECT name, quote_ident(name) FROM unnest(%s::text[]) AS name", [HOSTILE]
    ).fetchall()
    assert {name: quote(name) for name in HOSTILE} == dict(rows)


def test_every_keyword_the_server_quotes_is_quoted(connection: psycopg.Connection[Any]) -> None:
    rows = connection.execute("SELECT word, quote_ident(word) FROM pg_get_keywords()").fetchall()
    # A word that only a newer server reserves may be quoted for an older one too.
    assert [word for word, theirs in rows if quote(word) not in (theirs, f'"{word}"')] == []
    assert [word for word, theirs in rows if theirs != word and quote(word) == word] == []


def test_keywords_are_quoted_exactly_as_by_the_newest_server(
    server18: PostgresServer,
) -> None:
    with psycopg.connect(server18.url()) as connection:
        rows = connection.execute("SELECT word, quote_ident(word) FROM pg_get_keywords()")
        theirs = dict(rows.fetchall())
    assert {word: quote(word) for word in theirs} == theirs


def test_quoted_names_come_back_from_the_servers_parser(
    connection: psycopg.Connection[Any],
) -> None:
    listed = ", ".join(f"1 AS {quote(name)}" for name in HOSTILE)
    cursor = connection.execute(f"SELECT {listed}".encode())
    assert [column.name for column in cursor.description or ()] == HOSTILE


TEXTS = [*HOSTILE, "", "''", "\\", "\\'", "E'", "\\n", "\\x41", "$$", "--", "%%s"]


@pytest.mark.parametrize("conforming", ["on", "off"])
def test_literals_come_back_as_they_were(
    connection: psycopg.Connection[Any], conforming: str
) -> None:
    connection.execute(f"SET standard_conforming_strings = {conforming}".encode())
    listed = ", ".join(literal(text) for text in TEXTS)
    assert connection.execute(f"SELECT {listed}".encode()).fetchone() == tuple(TEXTS)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_comes_back_as_it_was(connection: psycopg.Connection[Any], text: str) -> None:
    assert connection.execute(f"SELECT {literal(text)}".encode()).fetchone() == (text,)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_name_is_quoted_as_the_server_does(
    connection: psycopg.Connection[Any], name: str
) -> None:
    assert connection.execute("SELECT quote_ident(%s)", [name]).fetchone() == (quote(name),)
