"""Targets of declared queries: which statement is one of them, and when it is too slow."""

from datetime import timedelta

import pytest

from maintenance.engine.findings import Finding, FindingKind
from maintenance.policy import WorkloadPolicy, load_policy
from maintenance.server.query_text import fingerprint, key_of, normalised
from maintenance.subjects.workload.models import Sample, Statements, WorkloadSnapshot
from maintenance.subjects.workload.statement_findings import query_findings
from maintenance.subjects.workload.targets import Target, Targets, targets_of
from tests.builders import ROOT
from tests.declared import SYSTEMS
from tests.unit.test_statement_findings import LOAD, QUERY, SERVER, counts, many, sample

DECLARED = 'select * from orders where "id" = $1'
OTHER = "SELECT n FROM orders WHERE id = ?"


def found(
    *samples: Sample, target_ms: float = 50.0, slow_query: str = "1000 ms"
) -> dict[str, Finding]:
    *earlier, now = samples
    load = WorkloadSnapshot(SERVER, (), (), (), (), Statements(now), samples=earlier)
    limits = {"slow_query": slow_query, "mean_query": "10 hours"}
    section = WorkloadPolicy.model_validate(limits)
    targets = Targets({fingerprint(normalised(DECLARED)): Target("order", target_ms)})
    return {each.object: each for each in query_findings("app", section, load, targets)}


def test_percentile_above_the_target_is_a_finding_of_the_query() -> None:
    now = sample(0, many(1000, 80.0), many(1000, 80.0, text=OTHER))
    (finding,) = found(sample(24), now).values()
    assert (finding.kind, finding.object) == (FindingKind.QUERY_SLOW, "app/queries/order")
    assert (finding.value, finding.threshold) == (80.0, 50.0)
    assert (finding.data["measure"], finding.data["reason"]) == ("p95", "target")
    assert finding.data["statement"] == key_of(QUERY)


def test_query_within_its_target_is_no_finding() -> None:
    assert found(sample(24), sample(0, many(1000, 49.0))) == {}


def test_mean_is_compared_where_there_are_too_few_calls_for_a_percentile() -> None:
    (finding,) = found(sample(24), sample(0, counts(40.0, 70.0, 100.0))).values()
    assert (finding.value, finding.data["measure"]) == (70.0, "mean")


def test_one_or_two_calls_say_nothing() -> None:
    assert found(sample(24), sample(0, counts(200.0, 200.0))) == {}


def test_call_that_is_rarely_slow_is_within_the_target_and_told_as_a_slow_call() -> None:
    times = [5.0] * 200
    now = sample(0, counts(*times, *times, 5000.0))
    (finding,) = found(sample(24, counts(*times)), now).values()
    assert (finding.object, finding.data["measure"]) == (f"app/query/{key_of(QUERY)}", "worst_call")


def test_slow_query_above_its_target_is_told_once() -> None:
    now = sample(0, many(1000, 3000.0))
    assert set(found(sample(24), now)) == {"app/queries/order"}


def test_higher_target_takes_the_place_of_the_general_limit() -> None:
    now = sample(0, many(1000, 3000.0), many(1000, 3000.0, text=OTHER))
    assert set(found(sample(24), now, target_ms=5000.0)) == {f"app/query/{key_of(OTHER)}"}


def test_first_observation_is_a_baseline() -> None:
    assert found(sample(0, many(1000, 80.0))) == {}


def test_what_ran_before_the_window_does_not_count() -> None:
    before = many(1000, 80.0)
    after = before._replace(calls=1100, total_ms=before.total_ms + 100)
    assert found(sample(24, before), sample(0, after)) == {}


def test_newest_window_with_calls_counts_for_half_a_day() -> None:
    slow = many(1000, 80.0)
    assert found(sample(5), sample(4, slow), sample(0, slow)) != {}
    assert found(sample(20), sample(15, slow), sample(0, slow)) == {}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM orders WHERE id = 5",
        "select *\n  from public.orders /* page 3 */ where id = $4",
        "SELECT * FROM orders WHERE id = 'a'",
    ],
)
def test_statement_is_the_declared_query_however_it_is_written(query: str) -> None:
    assert fingerprint(normalised(query)) == fingerprint(normalised(DECLARED))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id FROM orders WHERE id = 5",
        "SELECT * FROM orders WHERE id > 5",
        "SELECT * FROM orders WHERE id = 5 LIMIT 10",
        LOAD,
    ],
)
def test_other_statement_is_not_the_declared_query(query: str) -> None:
    assert fingerprint(normalised(query)) != fingerprint(normalised(DECLARED))


def test_lists_of_any_length_are_the_same_query() -> None:
    one, three = "SELECT a FROM t WHERE b IN ($1)", "SELECT a FROM t WHERE b IN (1, 2, 3)"
    assert fingerprint(normalised(one)) == fingerprint(normalised(three))


def test_text_that_can_not_be_parsed_is_only_itself() -> None:
    assert fingerprint("SELECT FROM WHERE ?") == "SELECT FROM WHERE ?"
    operator = normalised("SELECT a FROM t WHERE b ? 'c'")
    assert fingerprint(operator) == operator


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_example_system_has_targets_of_queries_that_are_told_apart(system: str) -> None:
    policy = load_policy(ROOT / "policies" / f"{system}.yaml")
    assert policy.indexes is not None
    named = {each.query: each.limit_ms for each in targets_of(policy).by_query.values()}
    wanted = {
        name: limit / timedelta(milliseconds=1) for name, limit in policy.indexes.targets.items()
    }
    assert named == wanted
    assert named
