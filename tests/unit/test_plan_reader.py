"""Plans as servers of three versions explain them."""

import json
from pathlib import Path
from typing import Any

import pytest

from maintenance.names import QualifiedName
from maintenance.subjects.indexes.declared.plan_reader import (
    QueryPlan,
    Roots,
    names_in,
    read_plan,
    renamed,
)

EXPLAINED = Path(__file__).with_name("explained")
VERSIONS = sorted(path.stem for path in EXPLAINED.glob("*.json"))


def name(text: str) -> QualifiedName:
    return QualifiedName("shop", text)


@pytest.fixture(params=VERSIONS)
def explained(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The answers of one server, by the name of the plan."""
    return json.loads((EXPLAINED / f"{request.param}.json").read_text())


PARTS: Roots = {
    name(f"events_{month}{suffix}"): name(root)
    for month in (1, 2)
    for suffix, root in (("", "events"), ("_user_id_at_idx", "events_user"))
}


def described(explained: Any, plan: str) -> str:
    return read_plan(explained[plan], PARTS).describe()


def test_three_versions_are_recorded() -> None:
    assert VERSIONS == ["pg15", "pg16", "pg18"]


def test_plans_tell_their_indexes_and_sorts(explained: dict[str, Any]) -> None:
    plans = {plan: read_plan(answer, PARTS) for plan, answer in explained.items()}
    indexes = {plan: {index.name for index in read.indexes} for plan, read in plans.items()}
    assert indexes == {
        "sorted": {"orders_customer"},
        "ordered": {"orders_at"},
        "incremental": {"orders_at"},
        "bitmap_or": {"orders_customer", "orders_total"},
        "sequential": set(),
        "partitions": {"events_user"},
        "one_partition": {"events_user"},
        "nested": {"orders_customer", "customers_pkey"},
        "hashed": {"orders_total"},
        "subplan": {"customers_pkey", "orders_customer"},
        "parallel": set(),
        "serial": set(),
    }
    sorts = {
        plan
        for plan, read in plans.items()
        if any(read.sorts_after(index) for index in read.indexes)
    }
    # The order of a hash join is not that of its input, so an index could not have given it.
    assert sorts == {"sorted", "incremental", "nested"}
    assert plans["nested"].sorts_after(name("orders_customer"))
    assert not plans["nested"].sorts_after(name("customers_pkey"))
    assert plans["hashed"].scanned == {name("customers")}
    assert plans["sequential"].scanned == {name("orders")}


def test_only_what_an_incremental_sort_sorts_is_a_sort_key(explained: dict[str, Any]) -> None:
    assert len(read_plan(explained["incremental"]).sort_keys) == 1
    assert "total" in read_plan(explained["incremental"]).sort_keys[0]


def test_execution_is_read(explained: dict[str, Any]) -> None:
    plan = read_plan(explained["sequential"])
    assert plan.execution_ms is not None
    assert plan.execution_ms > 0
    assert plan.buffers.total > 100
    assert plan.cost > 100


def test_number_of_partitions_and_workers_is_no_part_of_the_shape(
    explained: dict[str, Any],
) -> None:
    plans = {plan: read_plan(answer, PARTS) for plan, answer in explained.items()}
    assert plans["partitions"].digest == plans["one_partition"].digest
    assert plans["parallel"].digest == plans["serial"].digest
    others = {plan.digest for plan in plans.values()}
    assert len(others) == len(plans) - 2


def test_digests_are_those_of_other_versions() -> None:
    def digests(version: str) -> dict[str, str]:
        answers = json.loads((EXPLAINED / f"{version}.json").read_text())
        return {plan: read_plan(answer, PARTS).digest for plan, answer in answers.items()}

    assert digests("pg15") == digests("pg16") == digests("pg18")


def test_stored_plan_has_no_conditions(explained: dict[str, Any]) -> None:
    assert "secret value" in json.dumps(explained["sequential"])
    assert "secret value" not in json.dumps(read_plan(explained["sequential"]).as_json())
    assert "secret value" not in described(explained, "sequential")


def test_names_of_a_plan_are_its_relations_and_indexes(explained: dict[str, Any]) -> None:
    assert names_in(explained["bitmap_or"]) == {
        name("orders"),
        name("orders_customer"),
        name("orders_total"),
    }
    assert names_in(explained["subplan"]) >= {name("orders_customer"), name("customers_pkey")}


def test_indexes_can_be_renamed(explained: dict[str, Any]) -> None:
    plan: QueryPlan = read_plan(explained["ordered"])
    new = renamed(plan, lambda index: name("new") if index == name("orders_at") else index)
    assert new.uses(name("new"))


@pytest.mark.parametrize("answer", [None, [], {}, [{}], [{"Plan": None}], [1, 2]])
def test_what_is_no_plan_is_refused(answer: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        read_plan(answer)
