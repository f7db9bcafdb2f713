"""What plans say of partitions: conditions as servers write them, without their values."""

from typing import Any

import pytest

from maintenance.names import QualifiedName
from maintenance.policy.query_sql import Order
from maintenance.subjects.indexes.declared.plan_conditions import (
    ColumnUse,
    How,
    JoinedColumn,
    read_scans,
)
from maintenance.subjects.indexes.declared.pruning import (
    Partitioning,
    Unpruned,
    partitions_read,
)

EVENTS = QualifiedName("public", "events")


def scan(name: str = "events_1", alias: str = "e_1", **more: Any) -> dict[str, Any]:
    of = {"Relation Name": name, "Schema": "public", "Alias": alias, "Plan Rows": 10}
    return {"Node Type": "Seq Scan", **of, **more}


def node(kind: str, *below: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Node Type": kind, "Plans": list(below), "Plan Rows": 10, **more}


def explained(top: dict[str, Any]) -> Any:
    return [{"Plan": top}]


def uses(condition: str, alias: str = "e_1") -> list[ColumnUse]:
    (found,) = read_scans(explained(scan(alias=alias, Filter=condition)))
    assert found.is_readable
    return list(found.uses)


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("(e_1.a = 7)", [ColumnUse("a", How.EQUAL, "=")]),
        ("(7 < e_1.a)", [ColumnUse("a", How.RANGE, "<")]),
        ("(e_1.a = ANY ('{1,2}'::integer[]))", [ColumnUse("a", How.ANY, "=")]),
        ("(e_1.a <> ALL ('{1,2}'::integer[]))", [ColumnUse("a", How.OPERATOR, "<>")]),
        ("(e_1.a IS NULL)", [ColumnUse("a", How.IS_NULL)]),
        ("(e_1.a IS NOT NULL)", [ColumnUse("a", How.IS_NOT_NULL)]),
        ("e_1.done", [ColumnUse("done", How.IS_TRUE)]),
        ("(NOT e_1.done)", [ColumnUse("done", How.IS_FALSE)]),
        ("((e_1.at)::date = '2026-01-01'::date)", [ColumnUse("at", How.CAST, "date")]),
        ("(date_trunc('month'::text, e_1.at) = $1)", [ColumnUse("at", How.FUNCTION, "date_trunc")]),
        ("((e_1.a + 1) = 7)", [ColumnUse("a", How.EXPRESSION, "+")]),
        ("(e_1.a = u.id)", [ColumnUse("a", How.EQUAL, "=", is_joined=True)]),
        ("(e_1.a = e_1.b)", [ColumnUse("a", How.OPERATOR, "="), ColumnUse("b", How.OPERATOR, "=")]),
        ("(e_1.a = $0)", [ColumnUse("a", How.EQUAL, "=")]),
        ("(e_1.a = (InitPlan 1).col1)", [ColumnUse("a", How.EQUAL, "=")]),
        ("((e_1.a = 1) OR (e_1.a = 2))", [ColumnUse("a", How.ANY)]),
        (
            "((e_1.a = 1) OR (e_1.b = 2))",
            [ColumnUse("a", How.ALTERNATIVE), ColumnUse("b", How.ALTERNATIVE)],
        ),
        ("(NOT (hashed SubPlan 1))", []),
        ("(e_1.note ~~ 'e_1.secret = 7%'::text)", [ColumnUse("note", How.OPERATOR, "~~")]),
    ],
)
def test_conditions_are_read_without_values(condition: str, wanted: list[ColumnUse]) -> None:
    assert uses(condition) == wanted


def test_quoted_and_mixed_case_names_are_read() -> None:
    assert uses('("Event_1"."userId" = 7)', "Event_1") == [ColumnUse("userId", How.EQUAL, "=")]


def test_condition_that_the_parser_refuses_is_unknown_not_empty() -> None:
    (found,) = read_scans(explained(scan(Filter="(e_1.a === )) 7")))
    assert not found.is_readable


def test_joins_and_sorts_above_a_scan_are_read() -> None:
    joined = node(
        "Hash Join",
        scan("orders", "o"),
        node("Hash", scan("users", "u"), **{"Plan Rows": 3}),
        **{"Hash Cond": "(o.user_id = u.id)"},
    )
    orders, users = read_scans(explained(joined))
    assert orders.joined == (JoinedColumn("user_id", 3),)
    assert users.joined == (JoinedColumn("id", 10),)
    top = node("Limit", node("Sort", scan("orders", "o"), **{"Sort Key": ["o.at DESC", "o.id"]}))
    (ordered,) = read_scans(explained(top))
    assert ordered.order == (Order("at", True, True), Order("id", False, False))
    assert ordered.is_limited
    top = node("Sort", scan("orders", "o"), **{"Sort Key": ["lower(o.note)"]})
    (ordered,) = read_scans(explained(top))
    assert ordered.order == ()
    assert not ordered.is_limited


def partitioning(**more: Any) -> dict[QualifiedName, Partitioning]:
    facts: dict[str, Any] = {"strategy": "r", "n_partitions": 2, "keys": {"at": "timestamptz"}}
    return {EVENTS: Partitioning(EVENTS, **(facts | more))}


def cause(condition: str | None, tables: dict[QualifiedName, Partitioning]) -> Unpruned | None:
    more = {"Filter": condition} if condition is not None else {}
    parts = [scan(f"events_{n}", f"e_{n}", **more) for n in (1, 2)]
    scans = read_scans(explained(node("Append", *parts)))
    roots = {QualifiedName("public", f"events_{n}"): EVENTS for n in (1, 2)}
    (found,) = partitions_read(scans, 0, tables, roots, [EVENTS])
    assert found.n_read == 2
    return found.cause.reason if found.cause is not None else None


def test_reasons_of_a_plan_that_reads_all_partitions() -> None:
    tables = partitioning()
    assert cause(None, tables) is Unpruned.NO_CONDITION
    assert cause("(e_1.user_id = 7)", tables) is Unpruned.NO_CONDITION
    assert cause("(e_1.at IS NOT NULL)", tables) is Unpruned.NO_CONDITION
    assert cause("(e_1.at > now())", tables) is None  # wants all
    assert cause("(e_1.at = u.at)", tables) is None  # decided row by row
    assert cause("((e_1.at)::date = $1)", tables) is Unpruned.CAST
    assert cause("((e_1.at)::date = $1)", partitioning(is_pruning=False)) is Unpruned.SETTING
    assert cause("(e_1.at === ))", tables) is Unpruned.UNKNOWN
    assert cause(None, partitioning(n_partitions=3)) is None  # one is left out
    texts = partitioning(keys={"kind": "character varying"})
    assert cause("((e_1.kind)::text > 'a'::text)", texts) is None
    hashed = partitioning(strategy="h", keys={"id": "integer"})
    assert cause("(e_1.id > 3)", hashed) is Unpruned.OPERATOR


def test_table_of_which_no_partition_is_read_is_counted_too() -> None:
    nothing = explained({"Node Type": "Result"})
    (found,) = partitions_read(read_scans(nothing), 0, partitioning(), {}, [EVENTS])
    assert (found.n_read, found.n_partitions, found.cause) == (0, 2, None)


def test_table_of_one_partition_has_nothing_to_leave_out() -> None:
    scans = read_scans(explained(scan()))
    roots = {QualifiedName("public", "events_1"): EVENTS}
    (found,) = partitions_read(scans, 0, partitioning(n_partitions=1), roots)
    assert (found.n_read, found.cause) == (1, None)
