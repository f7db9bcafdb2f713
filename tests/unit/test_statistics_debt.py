"""What a partitioned parent owes: rows changed below it, whatever happens to the counters."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from maintenance.names import QualifiedName
from maintenance.subjects.statistics.debt import debt_of, rebased
from maintenance.subjects.statistics.models import Baseline, Counted, TableFacts

NOW = datetime(2026, 11, 20, tzinfo=UTC)
PARENT = 1


def a_table(oid: int = 2, **changes: Any) -> TableFacts:
    """A leaf of a thousand rows, analyzed just now."""
    name = QualifiedName("public", f"t{oid}")
    facts = TableFacts(oid, name, "r", PARENT, "app", 10, 1000, 0, 1000, 1000, 0, 0, 0, NOW)
    return facts._replace(**changes)


def a_parent(**changes: Any) -> TableFacts:
    facts = a_table(PARENT, kind="p", parent=None, rows=1000, live=0, total=0, frozen_age=None)
    return facts._replace(**changes)


def a_baseline(*leaves: TableFacts, carried: float = 0.0, **changes: Any) -> Baseline:
    return Baseline(NOW, carried, {leaf.oid: leaf.counted for leaf in leaves})._replace(**changes)


def test_debt_is_what_changed_since_the_baseline() -> None:
    before = a_baseline(a_table(2, total=100), a_table(3, total=100), carried=7)
    leaves = [a_table(2, total=130), a_table(3, total=100)]
    assert debt_of(a_parent(), leaves, before) == 37


def test_analyze_of_a_leaf_is_no_payment() -> None:
    before = a_baseline(a_table(total=100))
    assert debt_of(a_parent(), [a_table(total=150, changed=0)], before) == 50


def test_own_analyze_settles_it() -> None:
    before = a_baseline(a_table(total=100), carried=500)
    later = a_parent(analyzed_at=NOW + timedelta(hours=1))
    assert debt_of(later, [a_table(total=900)], before) == 0
    assert rebased(later, [a_table(total=900)], before).carried == 0


def test_counter_that_ran_backwards_began_at_nothing() -> None:
    before = a_baseline(a_table(total=1000), carried=5)
    assert debt_of(a_parent(), [a_table(total=40)], before) == 45


def test_reset_that_forgets_the_moment_of_the_analyze_settles_nothing() -> None:
    before = a_baseline(a_table(total=1000), carried=90)
    assert debt_of(a_parent(analyzed_at=None), [a_table(total=60)], before) == 150
    assert rebased(a_parent(analyzed_at=None), [a_table(total=60)], before).analyzed_at == NOW


def test_attached_leaf_and_detached_one_are_all_change() -> None:
    before = a_baseline(a_table(2, total=1000))
    assert debt_of(a_parent(), [a_table(2), a_table(3, total=400, rows=400, live=400)], before) == (
        400
    )
    assert debt_of(a_parent(), [], before) == 1000


def test_without_history_what_shows_counts() -> None:
    assert debt_of(a_parent(rows=1000), [a_table(changed=70)], None) == 70
    assert debt_of(a_parent(rows=200), [a_table(rows=1000, changed=70)], None) == 800


step = st.tuples(st.integers(0, 5000), st.booleans(), st.booleans())
"""Rows changed, whether the leaf is analyzed then, whether its counters are reset after that."""


@given(st.lists(st.lists(step, min_size=3, max_size=3), max_size=8))
def test_looks_between_resets_lose_no_change(rounds: list[list[tuple[int, bool, bool]]]) -> None:
    leaves = [a_table(oid, total=0) for oid in (2, 3, 4)]
    known = rebased(a_parent(), leaves, a_baseline(*leaves))
    owed = 0
    for steps in rounds:
        leaves = [
            leaf._replace(total=leaf.total + n, changed=0 if is_analyzed else leaf.changed + n)
            for leaf, (n, is_analyzed, _) in zip(leaves, steps, strict=True)
        ]
        owed += sum(n for n, *_ in steps)
        known = rebased(a_parent(), leaves, known)
        assert known.carried == owed
        leaves = [
            leaf._replace(total=0) if is_reset else leaf
            for leaf, (*_, is_reset) in zip(leaves, steps, strict=True)
        ]
        known = rebased(a_parent(), leaves, known)
        assert known.carried == owed, "a reset is no change"


counted = st.builds(Counted, st.integers(0, 10**9), st.floats(0, 1e9))
leaf = st.builds(
    a_table,
    st.integers(2, 9),
    total=st.integers(0, 10**9),
    rows=st.floats(-1, 1e9),
    live=st.just(0),
)
parents = st.builds(a_parent, analyzed_at=st.none() | st.just(NOW), rows=st.floats(-1, 1e9))
histories = st.none() | st.builds(
    Baseline,
    st.none() | st.just(NOW) | st.just(NOW - timedelta(days=1)),
    st.floats(0, 1e9),
    st.dictionaries(st.integers(2, 9), counted),
)


@given(parents, st.lists(leaf, unique_by=lambda each: each.oid), histories, st.randoms())
def test_debt_is_never_negative_and_order_is_irrelevant(
    parent: TableFacts, leaves: list[TableFacts], before: Baseline | None, chance: Any
) -> None:
    debt = debt_of(parent, leaves, before)
    assert debt >= 0
    mixed = list(leaves)
    chance.shuffle(mixed)
    assert abs(debt_of(parent, mixed, before) - debt) <= 1e-6 * debt
    assert rebased(parent, leaves, before).carried == debt
