"""What measurements prove, and what plans say of an index; without a server."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from maintenance.names import QualifiedName
from maintenance.policy.query_sql import DeclaredQuery, parse_query
from maintenance.subjects.indexes.declared.plan_reader import Access, QueryPlan
from maintenance.subjects.indexes.declared.proof import Proof, compare, served_by
from maintenance.subjects.indexes.declared.query_models import (
    Failure,
    Measurement,
    NotRun,
    PlanMode,
    PlannedSet,
    QueryKey,
    Timing,
)
from maintenance.subjects.indexes.declared.query_verdicts import (
    IndexKey,
    ProvenIndex,
    Reason,
    Use,
    judge,
    returns_order,
)
from maintenance.subjects.indexes.declared.query_watch import (
    PlanBaseline,
    TimedProof,
    WatchedIndex,
    WatchState,
    changed_plans,
    watched,
)
from maintenance.subjects.indexes.usage import Count, Epoch, ServerUsage, Usage

TABLE = QualifiedName("public", "t")
NAME = QualifiedName("public", "i")
INDEX = ProvenIndex(NAME, TABLE, (IndexKey("a"), IndexKey("b", True, True)), pages=1000)
QUERY = parse_query("-- params: 1\nSELECT * FROM t WHERE a = $1 ORDER BY b DESC", "q")


def plan(
    index: QualifiedName | None = None, *, cost: float = 100, sorts: bool = False
) -> QueryPlan:
    access = Access(TABLE, index, sorts)
    return QueryPlan(cost, (access,), ["scan", str(TABLE), str(index)])


SCAN, USING = plan(), plan(NAME, cost=5)


def measured(times: Sequence[float] = (), used: QueryPlan = USING, query: str = "q") -> Measurement:
    timings = {PlanMode.CUSTOM: Timing(tuple(times))} if times else {}
    failure = None if times else Failure(NotRun.TIME_LIMIT, "too slow")
    return Measurement(QueryKey(query, 1), PlanMode.CUSTOM, PlannedSet(used), timings, failure)


def proof(before: Sequence[float], after: Sequence[float], **more: Any) -> Proof:
    old, new = measured(before, SCAN), measured(after, **more)
    return compare({old.key: old}, {new.key: new}, INDEX, [QUERY])


# Times


def test_spread_leaves_out_the_extremes_of_many_times() -> None:
    assert Timing((5, 1, 3, 2, 90)).range_ms == (2, 5)
    assert Timing((5, 1, 3, 2, 90)).median_ms == 3
    assert Timing((1, 2, 90)).range_ms == (1, 90)
    assert Timing((1, 2, 90)).spread_ms == 89


@pytest.mark.parametrize(
    ("before", "after", "ratio", "slower"),
    [
        ((100, 101, 102), (9, 10, 11), 10.1, None),
        ((100, 101, 102), (99, 103, 104), None, None),  # the ranges overlap
        ((10, 11, 12), (20, 22, 24), 0.5, 2.0),
        ((0.010, 0.011, 0.012), (0.020, 0.022, 0.024), 0.5, None),  # less than 1 ms
        ((10, 11, 12), (), None, None),
        ((), (10, 11, 12), None, None),
    ],
)
def test_difference_is_claimed_only_where_the_ranges_are_apart(
    before: Sequence[float], after: Sequence[float], ratio: float | None, slower: float | None
) -> None:
    (only,) = proof(before, after).queries
    assert (only.ratio and round(only.ratio, 2), only.slower) == (ratio, slower)


def test_slower_by_the_plan_of_before_is_not_the_fault_of_the_index() -> None:
    (only,) = proof((10, 11, 12), (20, 22, 24), used=SCAN).queries
    assert (only.ratio, only.slower) == (0.5, None)
    key = QueryKey("q", 1)
    assert TimedProof("public.i", key, NOW, (10, 11, 12), (30, 33, 34), False).slower is None


def test_worst_query_is_the_one_that_became_slower_by_most() -> None:
    names = ("slow", "slower", "faster")
    queries = [parse_query(f"SELECT {n} FROM t", name) for n, name in enumerate(names)]
    before = {k.key: k for k in (measured((10, 11, 12), SCAN, name) for name in names)}
    times = {"slow": (20, 21, 22), "slower": (40, 41, 42), "faster": (1, 1.1, 1.2)}
    after = {k.key: k for k in (measured(times[name], query=name) for name in names)}
    found = compare(before, after, INDEX, queries)
    assert found.slowest_regression is not None
    assert found.slowest_regression.key.query == "slower"
    assert found.slower_than(1.2) is found.slowest_regression
    assert found.slower_than(10) is None
    assert found.as_json()["slower_query"] == "slower (parameters 1)"


def test_ratio_is_that_of_the_served_queries_together() -> None:
    index = ProvenIndex(NAME, TABLE, INDEX.keys, serves=("q",))
    other = parse_query("SELECT 1 FROM t", "other")
    before = [measured((100, 101, 102), SCAN), measured((5, 6, 7), SCAN, "other")]
    after = [measured((10, 10, 10)), measured((50, 60, 70), query="other")]
    found = compare(
        {each.key: each for each in before},
        {each.key: each for each in after},
        index,
        [QUERY, other],
    )
    assert found.ratio == pytest.approx(10.1)
    assert [each.key.query for each in found.served] == ["q"]
    assert found.slowest_regression is not None
    assert found.slowest_regression.key.query == "other"


def test_measured_are_the_served_queries_and_those_of_the_table() -> None:
    texts = {
        "of_table": "SELECT * FROM t",
        "qualified": "SELECT * FROM public.t",
        "elsewhere": "SELECT * FROM app.t",
        "other": "SELECT * FROM u",
        "served": "SELECT * FROM a_view_of_it",
    }
    queries = [parse_query(text, name) for name, text in texts.items()]
    found = served_by(TABLE, ["served"], queries)
    assert [query.name for query in found] == ["of_table", "qualified", "served"]
    assert served_by(QualifiedName("app", "t"), [], queries) == (queries[2],)


# Use


def use(
    custom: QueryPlan,
    generic: QueryPlan | None = None,
    *,
    index: ProvenIndex = INDEX,
    query: DeclaredQuery = QUERY,
    settled: PlanMode = PlanMode.CUSTOM,
    **more: Any,
) -> tuple[Use, Reason | None]:
    found = judge(index, query, PlannedSet(custom, generic, **more), settled)
    return found.use, found.reason


PARTIAL = ProvenIndex(NAME, TABLE, INDEX.keys, predicate="c <> 1", pages=1000)


def test_use_is_that_of_the_plan_on_which_the_server_settles() -> None:
    assert use(USING) == (Use.USED, None)
    assert use(USING, USING) == (Use.USED, None)
    assert use(USING, SCAN) == (Use.USED, Reason.GENERIC)
    assert use(USING, SCAN, index=PARTIAL) == (Use.USED, Reason.PARAMETER)
    assert use(USING, SCAN, index=PARTIAL, settled=PlanMode.GENERIC) == (
        Use.UNUSED,
        Reason.PARAMETER,
    )


def test_sort_counts_only_if_the_index_has_another_order() -> None:
    sorting = plan(NAME, sorts=True)
    assert use(sorting) == (Use.USED, None)
    other = ProvenIndex(NAME, TABLE, (IndexKey("a"), IndexKey("c"), IndexKey("b", True, True)))
    assert use(sorting, index=other) == (Use.SORTS, Reason.ORDER)
    gin = ProvenIndex(NAME, TABLE, (IndexKey("a"),), method="gin")
    assert use(sorting, index=gin) == (Use.USED, None)


def test_reasons_of_an_index_that_is_not_used() -> None:
    assert use(SCAN, forced=USING) == (Use.UNUSED, Reason.COST)
    small = ProvenIndex(NAME, TABLE, INDEX.keys, pages=3)
    assert use(SCAN, forced=USING, index=small) == (Use.UNUSED, Reason.SMALL)
    assert use(SCAN, index=PARTIAL, extended={NAME: USING}) == (Use.UNUSED, Reason.PREDICATE)
    assert use(SCAN, index=PARTIAL) == (Use.UNUSED, Reason.PREDICATE)
    other = plan(QualifiedName("public", "other"))
    assert use(other) == (Use.UNUSED, Reason.ANOTHER)
    expression = ProvenIndex(NAME, TABLE, (IndexKey(None),), pages=1000)
    assert use(SCAN, index=expression) == (Use.UNUSED, Reason.EXPRESSION)
    leading = ProvenIndex(NAME, TABLE, (IndexKey("z"), IndexKey("a")), pages=1000)
    assert use(SCAN, index=leading) == (Use.UNUSED, Reason.LEADING)
    assert use(SCAN) == (Use.UNUSED, Reason.UNKNOWN)
    ranged = parse_query("SELECT * FROM t WHERE a < 5 AND b = 2", "q")
    assert use(SCAN, query=ranged) == (Use.UNUSED, Reason.RANGE_FIRST)


@pytest.mark.parametrize(
    ("order", "is_returned"),
    [
        ("", True),
        ("ORDER BY b DESC", True),
        ("ORDER BY a, b DESC", True),
        ("ORDER BY b", True),  # backwards
        ("ORDER BY b DESC NULLS LAST", False),
        ("ORDER BY b, c", False),
        ("ORDER BY c", False),
        ("ORDER BY length(b)", False),
    ],
)
def test_order_of_an_index_behind_columns_with_one_value(order: str, is_returned: bool) -> None:
    query = parse_query(f"SELECT * FROM t WHERE a = 1 {order}", "q")
    assert returns_order(INDEX, query) is is_returned


# What became of it


NOW = datetime(2026, 11, 29, tzinfo=UTC)


def test_changed_plan_is_one_of_another_shape() -> None:
    key = QueryKey("q", 1)
    before = PlanBaseline(NOW - timedelta(days=7), PlanMode.CUSTOM, USING)
    same = Measurement(key, planned=PlannedSet(plan(NAME, cost=5000)))
    assert list(changed_plans({key: before}, [same])) == []
    (change,) = changed_plans({key: before}, [Measurement(key, planned=PlannedSet(SCAN))])
    assert (change.cost_ratio, change.is_worse, change.lost) == (20, True, {NAME})
    back = PlanBaseline(NOW, PlanMode.CUSTOM, SCAN)
    (change,) = changed_plans({key: back}, [Measurement(key, planned=PlannedSet(USING))])
    assert not change.is_worse
    assert list(changed_plans({}, [same])) == []


def test_slower_query_is_remembered_if_it_was_proven() -> None:
    key = QueryKey("q", 1)
    assert TimedProof("public.i", key, NOW, (10, 11, 12), (30, 33, 34)).slower == 3
    assert TimedProof("public.i", key, NOW, (10, 11, 40), (30, 33, 34)).slower is None


BUILT = NOW - timedelta(hours=2)
HOUR = timedelta(hours=1)


def server(scans: int = 0, *, began: timedelta = timedelta(days=90), **more: Any) -> ServerUsage:
    epoch = Epoch(1, more.pop("timeline", 1), None, NOW - began)
    usage = Usage(epoch, NOW, {7: Count(scans)}, is_counting=more.pop("is_counting", True))
    return ServerUsage(more.pop("name", "primary"), usage, **more)


def state(*servers: ServerUsage, own: int = 0) -> WatchState:
    return watched(NAME, TABLE, [7], BUILT, servers, own).state(NOW, HOUR)


def test_new_index_is_unscanned_only_by_complete_counters_of_all_servers() -> None:
    assert state(server()) is WatchState.UNSCANNED
    assert state(server(3)) is WatchState.SCANNED
    assert state(server(), server(1, name="replica")) is WatchState.SCANNED
    assert state(server(), ServerUsage("replica", None)) is WatchState.UNKNOWN
    assert state(server(began=timedelta(hours=1))) is WatchState.UNKNOWN
    assert state(server(is_counting=False)) is WatchState.UNKNOWN
    assert state(server(timeline=2)) is WatchState.UNKNOWN
    seen = NOW - timedelta(days=1)
    assert state(server(timeline=2, watched_since=seen)) is WatchState.UNSCANNED


def test_index_of_a_table_that_nothing_reads_is_not_judged() -> None:
    unread = WatchedIndex(NAME, TABLE, NOW - timedelta(hours=25), 0, {}, table_reads=0)
    assert unread.state(NOW, HOUR) is WatchState.UNREAD
    read = WatchedIndex(NAME, TABLE, NOW - timedelta(hours=25), 0, {}, table_reads=1)
    assert read.state(NOW, HOUR) is WatchState.UNSCANNED
    gone = WatchedIndex(NAME, TABLE, NOW - timedelta(hours=25), 0, {"primary": "reset"}, 0, 0)
    assert gone.state(NOW, HOUR) is WatchState.UNKNOWN


def test_scans_that_may_be_ours_prove_nothing() -> None:
    assert state(server(5), own=10) is WatchState.UNKNOWN
    assert state(server(11), own=10) is WatchState.SCANNED


def test_new_index_has_time() -> None:
    young = WatchedIndex(NAME, TABLE, NOW - timedelta(minutes=5), 0, {})
    assert young.state(NOW, HOUR) is WatchState.YOUNG
