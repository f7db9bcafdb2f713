"""What serves declared queries, from plans made by hand."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maintenance.cli.json_output import plan_document
from maintenance.cli.text_output import render_plan
from maintenance.engine.plan import Plan
from maintenance.names import QualifiedName
from maintenance.pipeline.run import Report
from maintenance.policy import Policy
from maintenance.policy.query_conditions import implies, may_stop_early
from maintenance.policy.query_sql import parse_query
from maintenance.subjects.indexes.declared.plan_reader import Access, QueryPlan, read_plan
from maintenance.subjects.indexes.declared.query_models import (
    Failure,
    NotRun,
    PlannedQuery,
    PlannedSet,
    QueryRelation,
)
from maintenance.subjects.indexes.declared.query_observation import QueriesObservation
from maintenance.subjects.indexes.declared.query_service import (
    DECLARED_QUERIES,
    Service,
    as_good,
)
from maintenance.subjects.indexes.declared.query_verdicts import IndexKey, ProvenIndex, Reason

TABLE = QualifiedName("public", "t")


def index(name: str, *columns: str, **more: object) -> ProvenIndex:
    keys = tuple(IndexKey(c.removesuffix("-"), c.endswith("-")) for c in columns)
    return ProvenIndex(QualifiedName("public", name), TABLE, keys, pages=1000, **more)  # type: ignore[arg-type]


def by_name(*indexes: ProvenIndex) -> Mapping[QualifiedName, ProvenIndex]:
    return {each.relation: each for each in indexes}


def scan(used: ProvenIndex | None, *narrowed: str) -> QueryPlan:
    name = used.relation if used is not None else None
    return QueryPlan(10, (Access(TABLE, name, narrowed=frozenset(narrowed)),), ["scan", str(name)])


NEWEST = "SELECT * FROM t WHERE a = 1 ORDER BY b DESC"
WANTED = index("wanted", "a", "b-")
SMALLER = index("smaller", "a")
BY_TIME = index("by_time", "b-")


@pytest.mark.parametrize(
    ("text", "wanted", "other", "narrowed", "is_good"),
    [
        (NEWEST, WANTED, SMALLER, "a", True),
        # walks along the order and filters: what the declared index was made against
        (NEWEST, WANTED, BY_TIME, "", False),
        # all rows that it finds are read, and the planner knows how many these are
        ("SELECT * FROM t WHERE a = 1 AND b = 2", WANTED, SMALLER, "a", True),
        ("SELECT * FROM t WHERE a = 1 AND b > 2", WANTED, SMALLER, "a", True),
        ("SELECT * FROM t WHERE a = 1 AND b = 2", WANTED, index("bc", "b", "c"), "b", False),
        # reads on until it has found enough
        ("SELECT * FROM t WHERE a = 1 AND b = 2 LIMIT 1", WANTED, SMALLER, "a", False),
        ("SELECT * FROM t WHERE a = 1 AND b = 2 ORDER BY c", WANTED, index("ac", "a", "c"), "a",
         False),
        ("SELECT 1 WHERE EXISTS (SELECT FROM t WHERE a = 1 AND b = 2)", WANTED, SMALLER, "a",
         False),
        ("SELECT * FROM t WHERE a = 1 AND c = 2", index("wanted", "a"), index("ca", "c", "a"), "ca",
         True),
        ("SELECT * FROM t ORDER BY b DESC LIMIT 1", BY_TIME, index("bc", "b-", "c"), "", True),
        ("SELECT * FROM t ORDER BY b DESC LIMIT 1", BY_TIME, index("cb", "c", "b-"), "", False),
        ("SELECT * FROM t WHERE a = 1 AND id = 2", WANTED, index("pk", "id", is_unique=True), "id",
         True),
        ("SELECT * FROM t WHERE a = 1 AND id > 2", WANTED, index("pk", "id", is_unique=True), "id",
         False),
        # the planner had the choice only if the query implies the predicate
        ("SELECT * FROM t AS x WHERE x.a = 1 AND x.s = 'on'",
         index("wanted", "a", predicate="(s = 'on'::text)", condition="s = 'on'"), SMALLER, "a",
         True),
        ("SELECT * FROM t AS x WHERE x.a = 1 AND x.s = $1",
         index("wanted", "a", predicate="(s = 'on'::text)", condition="s = 'on'"), SMALLER, "a",
         False),
        ("SELECT * FROM t WHERE v @@ to_tsquery('x')", index("wanted", "v", method="gin"), SMALLER,
         "a", False),
    ],
)  # fmt: skip
def test_another_index_is_as_good_if_it_narrows_as_far(
    text: str, wanted: ProvenIndex, other: ProvenIndex, narrowed: str, is_good: bool
) -> None:
    columns = [narrowed] if narrowed == "id" else list(narrowed)
    query = parse_query(f"-- params: 'on'\n{text}" if "$1" in text else text, "q")
    found = as_good(scan(other, *columns), query, wanted, by_name(wanted, other))
    assert (found == other.relation) is is_good


def test_a_table_that_is_also_read_whole_is_not_served() -> None:
    plan = scan(SMALLER, "a")
    both = QueryPlan(10, (*plan.accesses, Access(TABLE, None)), [])
    assert as_good(both, parse_query(NEWEST, "q"), WANTED, by_name(WANTED, SMALLER)) is None


def seen(
    plan: QueryPlan | None,
    *,
    present: tuple[ProvenIndex, ...] = (),
    covered: tuple[ProvenIndex, ...] = (),
    missing: tuple[ProvenIndex, ...] = (),
    others: tuple[ProvenIndex, ...] = (),
) -> QueriesObservation:
    failure = Failure(NotRun.LOCKED, "locked") if plan is None else None
    sets = {1: PlannedSet(plan)} if plan is not None else {}
    planned = PlannedQuery("q", (QueryRelation(1, TABLE, "r"),), sets, failure=failure)
    return QueriesObservation(
        (parse_query(NEWEST, "q"),),
        (planned,),
        present,
        covered=covered,
        missing=missing,
        others=by_name(*present, *others),
    )


SMALL = index("wanted", "a", "b-")
TINY = ProvenIndex(SMALL.relation, TABLE, SMALL.keys, pages=3)


@pytest.mark.parametrize(
    ("of", "service", "by", "value"),
    [
        (seen(scan(WANTED), present=(WANTED,)), Service.DECLARED, WANTED, 1),
        (seen(scan(SMALLER, "a"), present=(WANTED,), others=(SMALLER,)), Service.ANOTHER, SMALLER,
         1),
        (seen(scan(BY_TIME), present=(WANTED,), others=(BY_TIME,)), Service.NONE, None, 0),
        (seen(scan(None), present=(WANTED,)), Service.NONE, None, 0),
        (seen(scan(None), present=(TINY,)), Service.SMALL, None, None),
        (seen(scan(None), missing=(WANTED,)), Service.MISSING, None, None),
        (seen(None, present=(WANTED,)), Service.UNKNOWN, None, None),
        # a declared index that is not built, because another declared one does all that it would
        (seen(scan(WANTED, "a"), present=(WANTED,), covered=(SMALLER,)), Service.DECLARED, WANTED,
         1),
        (seen(scan(WANTED, "a"), covered=(SMALLER,), others=(WANTED,)), Service.ANOTHER, WANTED, 1),
    ],
)  # fmt: skip
def test_what_serves_a_query_is_said_and_counted(
    of: QueriesObservation, service: Service, by: ProvenIndex | None, value: float | None
) -> None:
    share = of.share()
    (only,) = share.queries
    assert (only.service, only.index) == (service, by.relation if by is not None else None)
    assert share.value == value
    assert share.as_json()[service.value] == 1


def test_text_output_names_the_index_that_serves_instead(
    capsys: pytest.CaptureFixture[str],
) -> None:
    of = seen(scan(SMALLER, "a"), present=(WANTED,), others=(SMALLER,))
    facts = {DECLARED_QUERIES: of.share().as_json()}
    content = {"database": {"name": "app", "url": {"env": "APP_URL"}}}
    policy = Policy.model_validate(content, context={"path": Path("app.yaml")})
    report = Report("app", datetime.now(UTC), Plan(), (), None, facts=facts)
    render_plan(policy, report)
    shown = capsys.readouterr().out
    assert str(SMALLER.relation) in shown
    assert str(WANTED.relation) in shown
    assert plan_document(policy, report)["facts"] == facts


def test_index_that_a_query_does_not_need_has_that_as_its_reason() -> None:
    of = seen(scan(SMALLER, "a"), present=(WANTED,), others=(SMALLER,))
    ((_, use),) = of.uses(WANTED)
    assert use.reason is Reason.AS_GOOD


@pytest.mark.parametrize(
    ("condition", "columns"),
    [
        ("(t.a = 1)", {"a"}),
        ("((t.a = 1) AND (t.\"B c\" >= 'x (y = '::text))", {"a", "B c"}),
        ("((t.a)::text = ANY ('{x,y}'::text[]))", {"a"}),
        ("(t.a = u.b)", {"a"}),
        ("(lower(t.a) = 'x'::text)", set[str]()),
        ("(t.a IS NULL)", {"a"}),
        ("", set[str]()),
    ],
)
def test_columns_that_narrow_a_search_are_read_from_its_condition(
    condition: str, columns: set[str]
) -> None:
    node = {"Node Type": "Index Scan", "Relation Name": "t", "Schema": "public", "Index Name": "i"}
    plan = {**node, "Total Cost": 1, **({"Index Cond": condition} if condition else {})}
    (access,) = read_plan([{"Plan": plan}]).accesses
    assert access.narrowed == columns


@pytest.mark.parametrize(
    ("query", "is_early"),
    [
        ("SELECT 1 FROM t", False),
        ("SELECT 1 FROM t LIMIT 1", True),
        ("SELECT 1 FROM (SELECT * FROM u LIMIT 5) AS s JOIN t ON t.a = s.a", False),
        ("SELECT 1 FROM (SELECT * FROM t) AS s LIMIT 5", True),
        ("SELECT 1 FROM u WHERE u.a IN (SELECT a FROM t)", True),
    ],
)
def test_query_that_may_stop_early_is_known(query: str, is_early: bool) -> None:
    assert may_stop_early(query, "t") is is_early


@pytest.mark.parametrize(
    ("query", "predicate", "is_implied"),
    [
        ("SELECT 1 FROM t WHERE a = 1 AND done = false", "done = false", True),
        ("SELECT 1 FROM t AS x JOIN u ON x.a = u.a AND x.done = false", "done = false", True),
        ("SELECT 1 FROM t AS x, u WHERE u.done = false AND x.a = 1", "done = false", False),
        ("SELECT 1 FROM t, u WHERE done = false", "done = false", False),
        ("SELECT 1 FROM u LEFT JOIN t ON t.done = false", "done = false", False),
        ("SELECT 1 FROM t WHERE a = 1 OR done = false", "done = false", False),
        ("SELECT 1 FROM (SELECT * FROM t WHERE done = false) AS s", "done = false", True),
        ("SELECT 1 FROM t WHERE done = false UNION SELECT 1 FROM t", "done = false", False),
        ("SELECT 1 FROM t WHERE a > 0 AND s IN ('x', 'y')", "a > 0 AND s IN ('x', 'y')", True),
        ("SELECT 1 FROM u", "done = false", False),
    ],
)
def test_predicate_is_implied_only_where_each_reading_of_the_table_has_it(
    query: str, predicate: str, is_implied: bool
) -> None:
    assert implies(query, "t", predicate) is is_implied
