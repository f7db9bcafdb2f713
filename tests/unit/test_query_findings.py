"""Findings about declared queries, from observations made by hand."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity
from maintenance.engine.scope import EVERYTHING, Request
from maintenance.names import QualifiedName
from maintenance.policy.query_sql import DeclaredQuery, RelationName, parse_query
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.subjects.indexes.declared.plan_reader import Access, QueryPlan
from maintenance.subjects.indexes.declared.query_findings import query_findings
from maintenance.subjects.indexes.declared.query_models import (
    Failure,
    NotRun,
    PlannedQuery,
    PlannedSet,
    QueryKey,
    QueryRelation,
)
from maintenance.subjects.indexes.declared.query_observation import QueriesObservation
from maintenance.subjects.indexes.declared.query_verdicts import IndexKey, ProvenIndex
from maintenance.subjects.indexes.declared.query_watch import TimedProof, WatchedIndex

NOW = datetime(2026, 11, 29, tzinfo=UTC)
TABLE, OTHER = QualifiedName("public", "t"), QualifiedName("public", "u")
NAME = QualifiedName("public", "i")
INDEX = ProvenIndex(NAME, TABLE, (IndexKey("a"),), pages=1000)
SERVING = ProvenIndex(NAME, TABLE, (IndexKey("a"),), pages=1000, serves=("one",))


def plan(index: QualifiedName | None = None) -> QueryPlan:
    return QueryPlan(100, (Access(TABLE, index),), ["scan", str(index)])


def query(name: str) -> DeclaredQuery:
    return parse_query("SELECT * FROM t WHERE a = 1", name)


def planned(name: str, uses: bool, failure: Failure | None = None) -> PlannedQuery:
    sets = {} if failure is not None else {1: PlannedSet(plan(NAME if uses else None))}
    return PlannedQuery(name, (QueryRelation(1, TABLE, "r"),), sets, failure=failure)


def seen(index: ProvenIndex, plans: Sequence[PlannedQuery], **more: Any) -> QueriesObservation:
    queries = tuple(query(each.query) for each in plans)
    return QueriesObservation(queries, tuple(plans), (index,), **more)


def told(of: QueriesObservation, kind: FindingKind, request: Request = EVERYTHING) -> list[Finding]:
    found = query_findings("app", IndexesPolicy(), of, NOW, request)
    return [finding for finding in found if finding.kind is kind]


UNUSED = FindingKind.INDEX_NOT_USED_BY_QUERY


def test_index_without_named_queries_needs_one_that_uses_it() -> None:
    both = [planned("one", True), planned("two", False)]
    assert [finding.object for finding in told(seen(INDEX, both), UNUSED)] == ["app/queries"]
    none = [planned("one", False), planned("two", False)]
    index, share = told(seen(INDEX, none), UNUSED)
    assert (index.object, index.severity) == ("public.i", Severity.WARN)
    assert [each["query"] for each in index.data["queries"]] == ["one", "two"]
    assert (share.value, share.threshold, share.data["queries"]) == (0, 0.95, 2)


def test_index_for_a_query_is_judged_by_that_query() -> None:
    plans = [planned("one", False), planned("two", True)]
    index, share = told(seen(SERVING, plans), UNUSED)
    assert index.data["query"] == "one"
    assert (share.value, share.data["without"]) == (0, ["one (parameters 1)"])
    plans = [planned("one", True), planned("two", False)]
    assert told(seen(SERVING, plans), UNUSED) == []


def test_nothing_is_said_of_queries_without_a_declared_index() -> None:
    of = QueriesObservation((query("one"),), (planned("one", False),))
    assert told(of, UNUSED) == []


def test_query_that_the_database_lacks_something_for_is_drift() -> None:
    missing = Failure(NotRun.NO_RELATION, "there is no table t")
    (drift,) = told(seen(INDEX, [planned("one", False, missing)]), FindingKind.SCHEMA_DRIFT)
    assert (drift.object, drift.severity) == ("app/queries/one", Severity.ERROR)


@pytest.mark.parametrize(
    ("missing", "severity"),
    [
        ([RelationName("public", "daily")], Severity.INFO),
        ([RelationName(None, "daily")], Severity.INFO),
        ([RelationName("other", "daily")], Severity.ERROR),
        ([RelationName(None, "daily"), RelationName(None, "lost")], Severity.ERROR),
    ],
)
def test_query_that_only_lacks_a_declared_view_is_information(
    missing: list[RelationName], severity: Severity
) -> None:
    failure = Failure(NotRun.NO_RELATION, "there is no view daily", missing=tuple(missing))
    of = seen(INDEX, [planned("one", False, failure)])
    views = [QualifiedName("public", "daily")]
    found = query_findings("app", IndexesPolicy(), of, NOW, EVERYTHING, views)
    assert [f.severity for f in found if f.kind is FindingKind.SCHEMA_DRIFT] == [severity]


def test_query_that_could_not_be_planned_leaves_its_findings_open() -> None:
    locked = Failure(NotRun.LOCKED, "locked", "55P03")
    of = seen(INDEX, [planned("one", False, locked)])
    (blind,) = told(of, FindingKind.MONITOR_BLIND)
    assert blind.severity is Severity.WARN
    for kind, name in (
        (UNUSED, "public.i"),
        (UNUSED, "app/queries"),
        (FindingKind.QUERY_PLAN_CHANGED, "app/queries/one"),
        (FindingKind.SCHEMA_DRIFT, "app/queries/one"),
    ):
        assert blind.leaves_open(kind, name)
    assert not blind.leaves_open(FindingKind.SCHEMA_DRIFT, "app/queries/two")


def test_failure_of_all_is_one_finding() -> None:
    of = QueriesObservation(indexes=(INDEX,), failure="the server refused it")
    (blind,) = query_findings("app", IndexesPolicy(), of, NOW, EVERYTHING)
    assert blind.object == "app/queries"
    assert blind.data[UNKNOWN].keys() >= {UNUSED, FindingKind.QUERY_PLAN_CHANGED}


def test_slower_query_is_told_for_a_week_after_the_build() -> None:
    key = QueryKey("one", 1)

    def after(days: int) -> list[Finding]:
        proof = TimedProof("public.i", key, NOW - timedelta(days=days), (10, 11), (40, 44))
        of = seen(INDEX, [planned("one", True)], proofs=(proof,))
        return told(of, FindingKind.QUERY_REGRESSED)

    (slower,) = after(1)
    assert (slower.object, slower.value, slower.threshold) == ("app/queries/one", 4, 1.2)
    assert slower.data["index"] == "public.i"
    assert after(8) == []


BELOW = FindingKind.INDEX_BELOW_EXPECTATION


ONE = QueryKey("one", 1)


def expected(
    before: tuple[float, ...],
    after: tuple[float, ...],
    *,
    hours: float = 2,
    pages: int = 1000,
    key: QueryKey = ONE,
) -> list[Finding]:
    """The findings about an index that is to make its query ten times faster."""
    index = ProvenIndex(NAME, TABLE, (IndexKey("a"),), pages=pages, serves=("one",), expect=10)
    proof = TimedProof("public.i", key, NOW - timedelta(hours=hours), before, after)
    return told(seen(index, [planned("one", True)], proofs=(proof,)), BELOW)


@pytest.mark.parametrize(
    ("before", "after", "n_told"),
    [
        ((100, 110, 105), (9, 10, 11), 0),  # met
        ((100, 110, 105), (12, 13, 14), 1),
        ((100, 150, 105), (12, 20, 14), 0),  # the ranges allow it
    ],
)
def test_missed_expectation_is_told_only_if_the_ranges_decide_it(
    before: tuple[float, ...], after: tuple[float, ...], n_told: int
) -> None:
    assert len(expected(before, after)) == n_told


@pytest.mark.parametrize(
    ("hours", "severity"),
    [
        (0.5, Severity.INFO),
        (2, Severity.WARN),
        (25, Severity.ERROR),
        (8 * 24, Severity.INFO),
    ],
)
def test_missed_expectation_becomes_worse_until_the_review(
    hours: float, severity: Severity
) -> None:
    (below,) = expected((100, 110, 105), (20, 21, 22), hours=hours)
    assert (below.severity, below.value, below.threshold) == (severity, 5, 10)
    assert below.data["verdict"] == "missed"


@pytest.mark.parametrize(
    ("before", "after", "pages"), [((0.5, 0.5, 0.5), (0.2, 0.2, 0.2), 1000), ((9, 9), (6, 6), 64)]
)
def test_little_table_and_fast_query_are_no_measure(
    before: tuple[float, ...], after: tuple[float, ...], pages: int
) -> None:
    (below,) = expected(before, after, hours=25, pages=pages)
    assert (below.severity, below.data["verdict"]) == (Severity.INFO, "too small to judge")


def test_expectation_of_a_query_that_was_not_measured_is_not_judged() -> None:
    assert expected((100, 110), (20, 21), key=QueryKey("other", 1)) == []
    assert expected((100, 110), (20, 21), key=QueryKey("one", 2)) == []


def test_review_has_the_expectation() -> None:
    index = ProvenIndex(NAME, TABLE, (IndexKey("a"),), pages=1000, serves=("one",), expect=10)
    at = NOW - timedelta(days=8)
    proof = TimedProof("public.i", QueryKey("one", 1), at, (100, 110), (20, 21))
    watched = WatchedIndex(NAME, TABLE, at, 5, {})
    of = seen(index, [planned("one", True)], proofs=(proof,), watched=(watched,))
    (review,) = told(of, FindingKind.INDEX_REVIEW)
    assert (review.data["expected"], review.data["expectation"]) == (10, "missed")


def test_review_is_due_after_a_week_for_a_week() -> None:
    def after(days: int, scans: int, uses: bool = True) -> list[Finding]:
        watched = WatchedIndex(NAME, TABLE, NOW - timedelta(days=days), scans, {})
        of = seen(INDEX, [planned("one", uses)], watched=(watched,))
        return told(of, FindingKind.INDEX_REVIEW)

    assert after(6, 5) == []
    assert after(15, 5) == []
    (used,) = after(8, 5)
    assert (used.severity, used.data["verdict"]) == (Severity.INFO, "keep")
    (unused,) = after(8, 0, uses=False)
    assert unused.data["verdict"] == "look again"


def test_request_for_a_table_leaves_out_the_others() -> None:
    none = [planned("one", False)]
    assert told(seen(INDEX, none), UNUSED, Request(table=OTHER)) == []
    (index,) = told(seen(INDEX, none), UNUSED, Request(table=TABLE))
    assert index.object == "public.i"


def test_plan_on_a_small_table_proves_nothing() -> None:
    small = ProvenIndex(NAME, TABLE, (IndexKey("a"),), pages=3)
    (index,) = told(seen(small, [planned("one", False)]), UNUSED)
    assert (index.object, index.severity) == ("public.i", Severity.INFO)
    assert index.data["reason"] == "table_too_small"
    assert told(seen(small, [planned("one", True)]), UNUSED) == []
