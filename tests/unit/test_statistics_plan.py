"""Planning ANALYZE and VACUUM: what is due, worst first, each once, and never twice."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.engine.action_order import collide
from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.findings import FindingKind
from maintenance.engine.plan import Plan
from maintenance.engine.scope import EVERYTHING, Request
from maintenance.engine.time_budget import Budget
from maintenance.errors import BudgetError
from maintenance.names import QualifiedName
from maintenance.server.grants import Grants
from maintenance.subjects.statistics.findings import LISTED
from maintenance.subjects.statistics.models import (
    Baseline,
    ForeignPartition,
    StatisticsObservation,
    TableFacts,
)
from maintenance.subjects.statistics.plan import plan
from tests.snapshots import a_policy

NOW = datetime(2026, 11, 20, tzinfo=UTC)
POLICY = a_policy(statistics={})
LATER = NOW + timedelta(hours=1)


def a_table(oid: int = 10, **changes: Any) -> TableFacts:
    """A table of a thousand rows that needs nothing."""
    name = QualifiedName("public", f"t{oid}")
    facts = TableFacts(oid, name, "r", None, "app", 10, 1000, 0, 1000, 1000, 0, 0, 0, NOW)
    return facts._replace(**changes)


def a_parent(oid: int = 1, **changes: Any) -> TableFacts:
    facts = a_table(oid, kind="p", pages=0, live=0, total=0, frozen_age=None, multixact_age=None)
    return facts._replace(**changes)


def a_look(*tables: TableFacts, **changes: Any) -> StatisticsObservation:
    return replace(
        StatisticsObservation(18, Grants("maintenance", "app"), True, 10**6, 10**6, tables),
        **changes,
    )


def planned(seen: StatisticsObservation, request: Request = EVERYTHING, **section: Any) -> Plan:
    return plan(a_policy(statistics=section) if section else POLICY, seen, request)


def sql(seen: StatisticsObservation, **section: Any) -> list[str]:
    return [statement for action in planned(seen, **section).actions for statement in action.sql]


def objects(actions: Iterable[Action]) -> list[str]:
    return [action.object for action in actions]


# What is due


@pytest.mark.parametrize(
    ("changes", "is_due"),
    [
        ({"changed": 99}, False),
        ({"changed": 100}, True),
        ({"changed": 49, "rows": 100, "live": 100}, False),
        ({"changed": 50, "rows": 100, "live": 100}, True),
        ({"described": False}, True),
        ({"described": False, "filled": False}, False),
        ({"described": None}, False),
        ({"dead": 999}, False),
        ({"dead": 1000}, True),
        ({"frozen_age": 799_999}, False),
        ({"frozen_age": 800_000}, True),
        ({"multixact_age": 800_000}, True),
    ],
)
def test_table_is_due_from_its_threshold_on(changes: dict[str, Any], is_due: bool) -> None:
    assert bool(sql(a_look(a_table(**changes)))) is is_due


def test_policy_without_the_section_and_periods_asked_for_plan_nothing() -> None:
    seen = a_look(a_table(described=False))
    assert plan(a_policy(), seen, EVERYTHING) == Plan()
    assert planned(seen, Request(periods=("2026-11",))) == Plan()


def test_one_vacuum_does_all_that_a_table_needs() -> None:
    busy = a_table(changed=900, dead=5000, frozen_age=900_000)
    assert sql(a_look(busy)) == ["VACUUM (FREEZE, ANALYZE, TRUNCATE false) public.t10"]


def test_pressing_reasons_come_first_then_the_worst() -> None:
    tables = [
        a_table(11, changed=200),
        a_table(12, changed=900),
        a_table(13, described=False, pages=5),
        a_table(14, described=False, pages=50, rows=2000),
        a_table(15, frozen_age=850_000),
        a_table(16, frozen_age=990_000),
    ]
    ordered = ["t16", "t15", "t14", "t13", "t12", "t11"]
    assert objects(planned(a_look(*tables)).actions) == [f"public.{name}" for name in ordered]


def test_parent_owes_what_changed_below_it_at_any_depth() -> None:
    tree = [a_parent(1), a_parent(2, parent=1), a_table(3, parent=2, total=1150)]
    before = Baseline(NOW, 0.0, {3: a_table(3).counted})
    seen = a_look(*tree, baselines={1: before, 2: before})
    assert sql(seen) == ["ANALYZE ONLY public.t1", "ANALYZE ONLY public.t2"]
    assert sql(replace(seen, major=17)) == ["ANALYZE public.t1"], "takes all below it along"


@pytest.mark.parametrize(("major", "collides"), [(15, True), (17, True), (18, False)])
def test_parent_is_not_analyzed_beside_the_vacuum_of_a_leaf_that_it_goes_on_to(
    major: int, collides: bool
) -> None:
    tree = [a_parent(1, described=False), a_parent(2, parent=1), a_table(3, parent=2, dead=5000)]
    by_name = {
        action.object: action
        for action in planned(a_look(*tree, a_table(4, described=False), major=major)).actions
    }
    assert by_name["public.t3"].kind is ActionKind.VACUUM_TABLE
    assert collide(by_name["public.t1"], by_name["public.t3"]) is collides
    assert not collide(by_name["public.t1"], by_name["public.t4"])


def test_parent_of_empty_partitions_needs_no_statistics() -> None:
    tree = [a_parent(described=False), a_table(2, parent=1, filled=False, total=0, live=0)]
    assert sql(a_look(*tree)) == []


@pytest.mark.parametrize("change", [{"autovacuum_pid": 7}, {"permitted": False}])
def test_leaf_that_is_left_alone_stops_nobody(change: dict[str, Any]) -> None:
    held = a_table(10, described=False, **change)
    done = planned(a_look(held, a_table(11, described=False)))
    assert objects(done.actions) == ["public.t11"]


def test_autovacuum_at_work_is_told_as_a_skip_and_is_no_finding() -> None:
    done = planned(a_look(a_table(described=False, autovacuum_pid=7)))
    (skip,) = done.skipped
    assert (skip.kind, skip.object) == (ActionKind.ANALYZE_TABLE, "public.t10")
    assert "pid 7" in skip.reason
    assert done.findings == ()


@pytest.mark.parametrize("change", [{"described": False}, {"changed": 500}])
def test_table_that_we_may_not_analyze_is_told_once(change: dict[str, Any]) -> None:
    (finding,) = planned(a_look(a_table(permitted=False, **change))).findings
    assert finding.kind is FindingKind.PRIVILEGE_MISSING
    assert finding.data["tables"] == ["public.t10"]


def test_table_asked_for_brings_its_partitions_along() -> None:
    tree = [a_parent(1), a_table(2, parent=1, changed=500), a_table(3, changed=500)]
    only = Request(table=QualifiedName("public", "t1"))
    assert set(objects(planned(a_look(*tree), only).actions)) == {"public.t1", "public.t2"}


def test_worst_tables_have_findings_and_the_others_are_counted() -> None:
    tables = [a_table(oid, changed=1000 - oid) for oid in range(10, 10 + LISTED + 3)]
    findings = planned(a_look(*tables)).findings
    assert len(findings) == LISTED + 1
    (rest,) = [finding for finding in findings if finding.object == "app"]
    assert (rest.kind, rest.value) == (FindingKind.STATISTICS_STALE, 3)


def test_where_nothing_may_be_analyzed_the_finding_gives_the_statement() -> None:
    seen = a_look(a_table(changed=500))
    for mode, by_hand in (("act", False), ("report", True)):
        (finding,) = planned(seen, mode=mode).findings
        assert finding.data["by_hand"] is by_hand
        assert ("ANALYZE public.t10" in finding.message) is by_hand


def test_counters_switched_off_are_told_with_what_to_set() -> None:
    (finding,) = planned(a_look(counts=False)).findings
    assert finding.kind is FindingKind.MONITOR_BLIND
    assert "ALTER SYSTEM SET track_counts = on" in finding.data["statements"]


# Whatever there is


leaves = st.builds(
    a_table,
    parent=st.sampled_from([None, 1, 2, 3]),
    pages=st.integers(0, 10**6),
    rows=st.sampled_from([-1.0, 0.0, 10.0, 1000.0, 1e7]),
    live=st.integers(0, 10**7),
    total=st.integers(0, 10**7),
    changed=st.integers(0, 10**6),
    dead=st.integers(0, 10**5),
    frozen_age=st.integers(0, 10**6),
    multixact_age=st.integers(0, 10**6),
    analyzed_at=st.none() | st.just(NOW),
    described=st.sampled_from([True, False, None]),
    filled=st.booleans(),
    permitted=st.booleans(),
    autovacuum_pid=st.none() | st.just(7),
)
histories = st.builds(
    Baseline,
    st.none() | st.just(NOW) | st.just(NOW - timedelta(days=1)),
    st.floats(0, 1e6),
    st.dictionaries(st.integers(10, 20), st.just(a_table().counted)),
)


@st.composite
def looks(draw: st.DrawFn) -> StatisticsObservation:
    """Three partitioned parents, one below the other, and up to ten tables below any or none."""
    tops = [
        a_parent(
            oid,
            parent=above,
            described=draw(st.booleans()),
            permitted=draw(st.booleans()),
            analyzed_at=draw(st.none() | st.just(NOW)),
        )
        for oid, above in ((1, None), (2, 1), (3, 2))
    ]
    below = [
        table._replace(oid=10 + n) for n, table in enumerate(draw(st.lists(leaves, max_size=10)))
    ]
    named = [table._replace(relation=QualifiedName("public", f"t{table.oid}")) for table in below]
    baselines = draw(st.dictionaries(st.sampled_from([1, 2, 3]), histories))
    major = draw(st.sampled_from([15, 18]))
    return a_look(*tops, *named, major=major, baselines=baselines)


def taken_along(seen: StatisticsObservation, action: Action) -> set[int]:
    """The tables whose statistics an action brings up to date."""
    oid = action.preconditions["oid"]
    if " ONLY " in action.sql[0] or not action.preconditions["parent"]:
        return {oid}
    below = {table.oid for table in seen.leaves()[oid]}
    return {oid, *below, *(n for n in (1, 2, 3) if n > oid)}


def applied(seen: StatisticsObservation, actions: Iterable[Action]) -> StatisticsObservation:
    """What the catalog and the store show after these actions."""
    tables = {table.oid: table for table in seen.tables}
    baselines = dict(seen.baselines)
    leaves_of = seen.leaves()
    for action in actions:
        for oid in taken_along(seen, action):
            rows = sum(leaf.n_rows for leaf in leaves_of.get(oid, [tables[oid]]))
            shown = {"changed": 0, "analyzed_at": LATER, "described": True, "rows": rows}
            tables[oid] = tables[oid]._replace(**shown)
        if action.kind is ActionKind.VACUUM_TABLE:
            oid = action.preconditions["oid"]
            tables[oid] = tables[oid]._replace(dead=0, frozen_age=0, multixact_age=0)
        if action.preconditions["parent"]:
            oid = action.preconditions["oid"]
            counted = {leaf.oid: leaf.counted for leaf in leaves_of[oid]}
            baselines[oid] = Baseline(LATER, 0.0, counted)
    return replace(seen, tables=tuple(tables.values()), baselines=baselines)


@given(looks())
def test_second_plan_after_the_first_is_empty(seen: StatisticsObservation) -> None:
    first = planned(seen).actions
    assert planned(applied(seen, first)).actions == ()


@given(looks(), st.randoms())
def test_order_of_tables_is_irrelevant(seen: StatisticsObservation, chance: Any) -> None:
    mixed = list(seen.tables)
    chance.shuffle(mixed)
    again, first = planned(replace(seen, tables=tuple(mixed))), planned(seen)
    assert [action.as_json() for action in again.actions] == [a.as_json() for a in first.actions]
    assert [f.as_json() for f in again.findings] == [f.as_json() for f in first.findings]


@given(looks())
def test_nothing_is_analyzed_twice(seen: StatisticsObservation) -> None:
    actions = planned(seen).actions
    assert len(set(objects(actions))) == len(actions)
    alone = {a.preconditions["oid"] for a in actions if a.kind is ActionKind.ANALYZE_TABLE}
    for action in actions:
        others = taken_along(seen, action) - {action.preconditions["oid"]}
        assert not alone & others


@given(looks())
def test_what_we_may_not_touch_is_never_touched(seen: StatisticsObservation) -> None:
    left = {t.oid for t in seen.tables if not t.permitted or t.autovacuum_pid is not None}
    assert not left & {action.preconditions["oid"] for action in planned(seen).actions}


# The budget


@given(st.floats(0, 100), st.lists(st.floats(0.01, 60), max_size=20))
def test_actions_never_take_longer_than_the_budget(limit_s: float, durations: list[float]) -> None:
    clock = [0.0]
    budget = Budget(timedelta(seconds=limit_s), clock=lambda: clock[0])
    begun = 0
    for duration_s in durations:
        try:
            budget.begin()
        except BudgetError:
            break
        begun += 1
        clock[0] += min(duration_s, budget.left().total_seconds())  # its statement_timeout
    assert clock[0] <= limit_s + 1e-3
    assert begun == len(durations) or not budget.left()


# By hand

BY_HAND = Request(QualifiedName("public", "t10"), forced=True)
VACUUM_BY_HAND = replace(BY_HAND, vacuum=True)


def by_hand(seen: StatisticsObservation, request: Request = BY_HAND) -> list[str]:
    return [statement for action in planned(seen, request).actions for statement in action.sql]


def test_table_is_analyzed_by_hand_although_it_needs_nothing() -> None:
    seen = a_look(a_table(10), a_table(11, changed=900))
    assert by_hand(seen) == ["ANALYZE public.t10"]
    assert by_hand(seen, VACUUM_BY_HAND) == ["VACUUM (ANALYZE, TRUNCATE false) public.t10"]


def test_empty_table_is_analyzed_by_hand() -> None:
    assert by_hand(a_look(a_table(filled=False, live=0, total=0))) == ["ANALYZE public.t10"]


@pytest.mark.parametrize(
    ("major", "analyze"),
    [(17, ["ANALYZE public.t10"]), (18, ["ANALYZE ONLY public.t10", "ANALYZE public.t11"])],
)
def test_partitioned_table_is_kept_up_by_hand_as_a_whole(major: int, analyze: list[str]) -> None:
    seen = a_look(a_parent(10), a_table(11, parent=10), a_table(12), major=major)
    assert by_hand(seen) == analyze
    assert by_hand(seen, VACUUM_BY_HAND) == [
        analyze[0],
        "VACUUM (ANALYZE, TRUNCATE false) public.t11",
    ]


def test_table_that_we_may_not_analyze_is_tried_by_hand_and_so_fails() -> None:
    assert by_hand(a_look(a_table(permitted=False))) == ["ANALYZE public.t10"]


def test_table_under_autovacuum_is_a_skip_by_hand_too() -> None:
    done = planned(a_look(a_table(autovacuum_pid=7)), BY_HAND)
    assert done.actions == ()
    assert [skip.object for skip in done.skipped] == ["public.t10"]


def test_parent_with_foreign_partitions_is_a_skip_by_hand() -> None:
    foreign = ForeignPartition(QualifiedName("public", "far"), "elsewhere")
    done = planned(a_look(a_parent(10), foreign={10: (foreign,)}), BY_HAND)
    assert done.actions == ()
    assert [skip.object for skip in done.skipped] == ["public.t10"]


def test_table_that_does_not_exist_is_told_with_its_near_name() -> None:
    (finding,) = planned(a_look(a_table(1010)), BY_HAND).findings
    assert (finding.kind, finding.data["near"]) == (FindingKind.NO_SUCH_TABLE, ["public.t1010"])
    assert planned(a_look(a_table(1010)), BY_HAND).actions == ()
