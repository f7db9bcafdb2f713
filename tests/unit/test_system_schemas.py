"""The schemas of the example systems, as far as the parser can tell."""

from typing import Any

import pytest
from pglast import ast, enums, parse_sql

from tests.builders import SQL

PARTITIONED = {"learning_platform": "analytics_events", "proposals": "audit_logs"}


def _tables(system: str) -> dict[str, ast.CreateStmt]:
    script = (SQL / "systems" / system / "schema.sql").read_text()
    statements: list[Any] = [raw.stmt for raw in parse_sql(script)]
    return {statement.relation.relname: statement for statement in statements}


def _constraints(table: ast.CreateStmt) -> list[Any]:
    elements: list[Any] = list(table.tableElts or ())
    inside = [each for column in elements for each in getattr(column, "constraints", None) or ()]
    return inside + [each for each in elements if isinstance(each, ast.Constraint)]


@pytest.mark.parametrize("system", PARTITIONED)
def test_schema_makes_tables_and_nothing_else(system: str) -> None:
    assert {type(each) for each in _tables(system).values()} == {ast.CreateStmt}


@pytest.mark.parametrize(("system", "name"), PARTITIONED.items())
def test_one_table_is_partitioned_by_timestamp(system: str, name: str) -> None:
    specs: dict[str, Any] = {
        each: table.partspec for each, table in _tables(system).items() if table.partspec
    }
    assert list(specs) == [name]
    assert specs[name].strategy == enums.PartitionStrategy.PARTITION_STRATEGY_RANGE
    assert [each.name for each in specs[name].partParams] == ["timestamp"]


@pytest.mark.parametrize(("system", "name"), PARTITIONED.items())
def test_partitioned_table_has_the_key_id_timestamp(system: str, name: str) -> None:
    keys = [
        [column.sval for column in each.keys]
        for each in _constraints(_tables(system)[name])
        if each.contype == enums.ConstrType.CONSTR_PRIMARY
    ]
    assert keys == [["id", "timestamp"]]


@pytest.mark.parametrize(("system", "name"), PARTITIONED.items())
def test_no_foreign_key_touches_the_partitioned_table(system: str, name: str) -> None:
    tables = _tables(system)
    pairs = {
        (source, each.pktable.relname)
        for source, table in tables.items()
        for each in _constraints(table)
        if each.contype == enums.ConstrType.CONSTR_FOREIGN
    }
    assert not [pair for pair in pairs if name in pair]
    assert {target for _, target in pairs} <= set(tables)
