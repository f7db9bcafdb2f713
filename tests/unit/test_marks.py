"""Queries that are composed here are marked, so that counters of statements tell them apart."""

import pytest

from maintenance.server.liveness import marked
from maintenance.server.query_text import is_ours


@pytest.mark.parametrize(
    "query", ["SELECT 1", b"SELECT 1", "(SELECT 1) UNION SELECT 2", "with a AS (SELECT 1) SELECT 2"]
)
def test_composed_query_is_ours(query: str | bytes) -> None:
    text = marked(query)
    assert is_ours(text.decode())
    assert text.endswith(query if isinstance(query, bytes) else query.encode())


@pytest.mark.parametrize(
    "statement",
    ["BEGIN; SELECT 1", "SELECTED", "CREATE TABLE t ()", "-- one: told\n-- since: 15\nSELECT 1"],
)  # fmt: skip
def test_other_statements_stay_as_they_are(statement: str) -> None:
    assert marked(statement) == statement


def test_query_of_an_application_is_not_ours() -> None:
    assert not is_ours("SELECT 1")
    assert not is_ours("-- maintenance of invoices\nSELECT 1")
