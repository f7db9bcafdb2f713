"""Which index a plan asks for: equal columns first, the most selective first, then one more."""

from typing import Any

import pytest

from maintenance.engine.findings import FindingKind, Reading
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName
from maintenance.policy.query_sql import Order, QueryFilesError, parse_select
from maintenance.subjects.indexes.candidates.findings import candidate_findings
from maintenance.subjects.indexes.candidates.models import (
    Candidate,
    CandidatesObservation,
    CandidateTable,
    Gain,
    KeyColumn,
    PresentIndex,
    ServedStatement,
    Shape,
    SlowStatement,
    TableColumn,
)
from maintenance.subjects.indexes.candidates.propose import LEAST_PAGES, Proposal, propose, serves
from maintenance.subjects.indexes.candidates.selection import is_useful, merged
from maintenance.subjects.indexes.candidates.slow_statements import plannable
from maintenance.subjects.indexes.declared.plan_conditions import (
    ColumnUse,
    How,
    JoinedColumn,
    Scan,
)

ORDERS = QualifiedName("public", "orders")
COLUMNS = {
    "customer_id": TableColumn("customer_id", 4000, 4),
    "status": TableColumn("status", 5, 3),
    "at": TableColumn("at", 60000, 8),
    "note": TableColumn("note", 60000, 500),
    "kind": TableColumn("kind", 1, 4),
    "done": TableColumn("done", 2, 1),
    "deleted_at": TableColumn("deleted_at", None, 8),
}


def table(*indexes: PresentIndex, **more: Any) -> CandidateTable:
    facts: dict[str, Any] = {"pages": LEAST_PAGES, "rows": 60000, "columns": COLUMNS}
    return CandidateTable(ORDERS, **(facts | more), indexes=indexes)


def index(*columns: str | None, **more: Any) -> PresentIndex:
    return PresentIndex(QualifiedName("public", "present"), columns, **more)


def uses(**of: How) -> tuple[ColumnUse, ...]:
    return tuple(ColumnUse(column, how) for column, how in of.items())


def scan(*joined: JoinedColumn, order: tuple[Order, ...] = (), **more: Any) -> Scan:
    conditions = {key: how for key, how in more.items() if isinstance(how, How)}
    facts: dict[str, Any] = {key: more[key] for key in more.keys() - conditions.keys()}
    facts = {"rows": 5.0, "is_limited": False} | facts
    return Scan(ORDERS, "o", uses=uses(**conditions), joined=joined, order=order, **facts)


def proposals(of: Scan, known: CandidateTable | None = None) -> list[Proposal]:
    return list(propose([of], {ORDERS: known or table()}, {}))


def columns(of: Scan, known: CandidateTable | None = None) -> list[str]:
    found = proposals(of, known)
    return [str(each) for proposal in found for each in proposal.shape.columns]


LATEST = (Order("at", True, True),)


def test_most_selective_equal_column_is_first_and_one_range_or_order_is_last() -> None:
    equal: dict[str, Any] = {"status": How.EQUAL, "customer_id": How.EQUAL}
    assert columns(scan(**equal)) == ["customer_id", "status"]
    assert columns(scan(**equal, at=How.RANGE)) == ["customer_id", "status", "at"]
    assert columns(scan(order=LATEST, **equal)) == ["customer_id", "status", "at"]
    assert columns(scan(at=How.RANGE)) == ["at"]
    by_status = (Order("status", False, False),)
    ranged: dict[str, Any] = {"customer_id": How.EQUAL, "at": How.RANGE}
    assert columns(scan(order=by_status, **ranged)) == ["customer_id", "at"]
    assert columns(scan(order=by_status, is_limited=True, **ranged)) == ["customer_id", "status"]


def test_order_behind_several_values_is_lost_and_a_range_is_not() -> None:
    several: dict[str, Any] = {"status": How.ANY, "customer_id": How.EQUAL}
    assert columns(scan(order=LATEST, **several)) == ["customer_id", "status"]
    assert columns(scan(at=How.RANGE, **several)) == ["customer_id", "status", "at"]


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        (Order("at", False, False), "at"),
        (Order("at", True, True), "at"),
        (Order("at", True, False), "at DESC NULLS LAST"),
        (Order("at", False, True), "at NULLS FIRST"),
    ],
)
def test_other_place_of_nulls_is_written(order: Order, wanted: str) -> None:
    assert columns(scan(order=(order,), is_limited=True)) == [wanted]


def test_conditions_without_a_value_make_it_partial() -> None:
    of = scan(customer_id=How.EQUAL, deleted_at=How.IS_NULL, done=How.IS_FALSE)
    (found,) = proposals(of)
    assert found.shape.conditions == ("deleted_at IS NULL", "NOT done")
    assert proposals(scan(deleted_at=How.IS_NULL)) == []


def test_wide_constant_unknown_and_wrapped_columns_are_left_out() -> None:
    assert columns(scan(note=How.EQUAL)) == []
    assert columns(scan(kind=How.EQUAL)) == []
    assert columns(scan(missing=How.EQUAL)) == []
    assert columns(scan(status=How.FUNCTION, at=How.CAST, customer_id=How.ALTERNATIVE)) == []


def test_small_tables_unreadable_conditions_and_sufficient_scans_have_none() -> None:
    of = scan(customer_id=How.EQUAL)
    assert proposals(of, table(pages=LEAST_PAGES - 1)) == []
    assert proposals(scan(customer_id=How.EQUAL, is_readable=False)) == []
    served = scan(customer_id=How.EQUAL, at=How.RANGE, index="present")
    assert proposals(served, table(index("customer_id"))) == []
    hindered = scan(customer_id=How.EQUAL, at=How.RANGE, index="present")
    assert columns(hindered, table(index("at"))) == ["customer_id", "at"]


def test_join_asks_for_an_index_only_if_its_other_side_is_small() -> None:
    assert columns(scan(JoinedColumn("customer_id", 100))) == ["customer_id"]
    assert columns(scan(JoinedColumn("customer_id", 50000))) == []


def test_index_that_serves_is_found_whatever_the_order_of_its_equal_columns() -> None:
    shape = Shape(ORDERS, tuple(map(KeyColumn, ("customer_id", "status", "at"))))
    assert serves(index("status", "customer_id", "at", "id"), shape, 2)
    assert not serves(index("status", "at", "customer_id"), shape, 2)
    assert not serves(index("customer_id", None, "at"), shape, 2)
    assert not serves(index("customer_id", "status"), shape, 2)
    assert not serves(index("customer_id", "status", "at", predicate="(done)"), shape, 2)
    partial = shape._replace(conditions=("deleted_at IS NULL", "NOT done"))
    assert serves(index("customer_id", "status", "at", predicate="(NOT done)"), partial, 2)
    both = "((deleted_at IS NULL) AND (NOT done))"
    assert serves(index("customer_id", "status", "at", predicate=both), partial, 2)


def test_index_of_the_same_columns_in_another_order_is_named() -> None:
    present = index("at", "customer_id", is_declared=True)
    (found,) = proposals(scan(customer_id=How.EQUAL, at=How.RANGE), table(present))
    assert found.instead_of == present
    (found,) = proposals(scan(customer_id=How.EQUAL, at=How.RANGE), table(index("at")))
    assert found.instead_of is None


def test_few_rows_or_the_first_ones_are_selective() -> None:
    (found,) = proposals(scan(customer_id=How.EQUAL, rows=100))
    assert found.is_selective
    (found,) = proposals(scan(status=How.EQUAL, rows=12000))
    assert not found.is_selective
    (found,) = proposals(scan(status=How.EQUAL, rows=12000, order=LATEST, is_limited=True))
    assert found.is_selective


def candidate(**more: Any) -> Candidate:
    statement = SlowStatement("abc", "SELECT * FROM orders WHERE a = ?", "never shown", 5, 90, 450)
    served = ServedStatement(statement, Gain(1000, 10))
    shape = Shape(ORDERS, (KeyColumn("userId"), KeyColumn("at", "DESC NULLS LAST")), ("NOT done",))
    facts: dict[str, Any] = {"is_proven": True, "size_bytes": 8192, "statements": (served,)}
    return Candidate(shape, "orders_idx", **(facts | more))


def told(*found: Candidate, **more: Any) -> list[Any]:
    seen = CandidatesObservation(n_statements=1, candidates=found, **more)
    return list(candidate_findings("app", seen, Request()))


def test_finding_has_the_statement_to_declare_and_its_proof() -> None:
    (found,) = told(candidate())
    assert (found.kind, found.object) == (FindingKind.INDEX_CANDIDATE, "public.orders_idx")
    assert found.value == 100
    assert found.data["create"] == (
        'CREATE INDEX CONCURRENTLY orders_idx ON public.orders ("userId", at DESC NULLS LAST)'
        " WHERE NOT done;"
    )
    assert "never shown" not in str(found)
    (found,) = told(candidate(is_partitioned=True, is_proven=False))
    assert found.data["create"].startswith("CREATE INDEX orders_idx")
    assert found.value is None


def test_other_tables_are_left_out_of_a_request_and_a_failure_leaves_candidates_open() -> None:
    seen = CandidatesObservation(n_statements=1, candidates=(candidate(),))
    other = Request(table=QualifiedName("public", "users"))
    assert list(candidate_findings("app", seen, other)) == []
    (found,) = told(failure="timeout")
    assert found.kind is FindingKind.MONITOR_BLIND
    assert found.leaves_open(FindingKind.INDEX_CANDIDATE, "public.orders_idx")
    assert Reading.SLOW_STATEMENTS in FindingKind.INDEX_CANDIDATE.spec.reads


def test_texts_of_the_server_are_made_plannable() -> None:
    text = "SELECT now() - interval $1, date $2, timestamp with time zone $3, $4"
    wanted = "SELECT now() - CAST($1 AS interval), CAST($2 AS date),"
    assert plannable(text) == f"{wanted} CAST($3 AS timestamp with time zone), $4"
    found = parse_select(plannable(text), "q")
    assert (found.n_parameters, found.parameter_sets) == (4, ("NULL, NULL, NULL, NULL",))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1; SELECT 2",
        "DELETE FROM orders",
        "SELECT * FROM orders FOR UPDATE",
        "WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone",
        "SELECT nextval($1)",
        "SELECT * INTO other FROM orders",
    ],
)
def test_what_is_not_one_query_that_reads_is_refused(text: str) -> None:
    with pytest.raises(QueryFilesError):
        parse_select(text, "q")


def useful(**more: Any) -> bool:
    statement = SlowStatement("abc", "", "", 5, 90, 450)
    served = ServedStatement(statement, **more)
    return is_useful(candidate(statements=(served,), is_proven="gain" in more))


def test_proven_ones_need_a_gain_and_others_a_likely_use() -> None:
    assert useful(gain=Gain(100, 50), is_tried=True)
    assert not useful(gain=Gain(100, 51), is_tried=True)
    assert not useful(is_tried=True, is_selective=True)
    assert useful(is_selective=True)
    assert not useful()


def test_shorter_candidate_is_part_of_the_longer_one() -> None:
    short, long = (Shape(ORDERS, tuple(map(KeyColumn, each))) for each in ("a", "ab"))
    other = Shape(ORDERS, (KeyColumn("a"),), ("NOT done",))
    statements = [SlowStatement(key, "", "", 5, 90, 450) for key in "xyz"]
    served = [ServedStatement(each) for each in statements]
    found = merged(
        [
            (Proposal(short), served[0], 10),
            (Proposal(long), served[1], 20),
            (Proposal(other), served[2], None),
            (Proposal(long), served[0], 20),
        ]
    )
    told = {each.shape: [one.statement.key for one in each.statements] for each in found}
    assert told == {long: ["y", "x"], other: ["z"]}
    assert next(each for each in found if each.shape == long).size_bytes == 20


def test_types_of_casts_are_named() -> None:
    found = parse_select("SELECT $1::public.mood, CAST($2 AS text[])", "q")
    assert {each.name for each in found.types} == {"mood", "text"}
