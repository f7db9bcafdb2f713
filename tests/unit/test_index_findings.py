"""Findings on indexes: definitions that are wrong, drops with their cost, and missing evidence."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from maintenance.names import QualifiedName
from maintenance.subjects.indexes.definition_checks import constant_keys
from maintenance.subjects.indexes.models import Column, Index, Key, Table

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SINCE = NOW - timedelta(days=35)
LONG_AGO = NOW - timedelta(days=400)
COLUMNS = {1: Column("a"), 2: Column("b")}
TABLE = Table(1, QualifiedName("public", "t"), pages=5_000, rows=200_000, columns=COLUMNS)


def an_index(*of: int | str, oid: int = 7, **changes: Any) -> Index:
    facts: dict[str, Any] = {
        "relation": QualifiedName("public", f"i{oid}"),
        "table_oid": TABLE.oid,
        "method": "btree",
        "keys": tuple(Key(each, 1, 0, 0) for each in of),
        "pages": 1_000,
    }
    return Index(oid, **(facts | changes))


@pytest.mark.parametrize("predicate", ["b", "(b = 5)", "(b IS NULL)", "((b = 5) AND (a > 7))"])
def test_constant_key_is_told_only_where_another_key_is_left(predicate: str) -> None:
    assert constant_keys(an_index(2, predicate=predicate), TABLE) == []
    assert constant_keys(an_index(1, 2, predicate=predicate), TABLE) == ["b"]
    assert constant_keys(an_index(2, "lower(c)", predicate=predicate), TABLE) == ["b"]


def test_keys_that_are_all_constant_are_left_alone() -> None:
    assert constant_keys(an_index(1, 2, predicate="((a = 1) AND (b = 5))"), TABLE) == []
