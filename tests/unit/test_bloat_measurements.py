"""Which relations are measured, in which turn, and for how long a measurement holds: pure."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from maintenance.names import QualifiedName
from maintenance.policy.thresholds import BloatPolicy
from maintenance.subjects.bloat.measurements import measurement_order, with_earlier
from maintenance.subjects.bloat.models import (
    MOST_BYTES,
    Bloat,
    BloatSnapshot,
    Extension,
    Freshness,
    Method,
    Note,
    Observed,
    ObservedIndex,
    ObservedTable,
    Past,
    Rebuild,
    with_notes,
)
from maintenance.subjects.bloat.pgstattuple import MOST_MEASURED, affordable
from tests.snapshots import NOW

MB = 2**20
ACTING = BloatPolicy(reindex="concurrently")


def a_table(oid: int, megabytes: int = 100) -> ObservedTable:
    fresh = Freshness(1000, megabytes * 128, megabytes * MB, 0, 0, NOW, True)
    return ObservedTable(oid, QualifiedName("public", f"t{oid}"), None, 100, fresh)


def an_index(oid: int, megabytes: int = 1, **changes: Any) -> ObservedIndex:
    index = ObservedIndex(
        oid,
        QualifiedName("public", f"i{oid}"),
        QualifiedName("public", "t1"),
        megabytes * MB,
        90,
        a_table(1).freshness,
    )
    return replace(index, **changes)


def a_stock(*seen: Observed, **changes: Any) -> BloatSnapshot:
    estimated = changes.pop("bloat", Bloat(Method.ESTIMATE, 0.6))
    return BloatSnapshot(
        tables=tuple(each for each in seen if isinstance(each, ObservedTable)),
        indexes=tuple(each for each in seen if isinstance(each, ObservedIndex)),
        bloat={each.oid: estimated for each in seen},
        extension=Extension("public"),
        **changes,
    )


def order(stock: BloatSnapshot, section: BloatPolicy = ACTING) -> list[str]:
    return [each.relation.name for each in measurement_order(stock, section, NOW)]


def measured(days_ago: float, method: str = "exact", fraction: float = 0.6) -> list[Past]:
    return [Past(NOW - timedelta(days=days_ago), 100 * MB, fraction, method)]


def test_indexes_that_would_be_rebuilt_have_places_before_larger_tables() -> None:
    stock = a_stock(*(a_table(n) for n in range(1, 8)), an_index(20), an_index(21))
    assert order(stock)[:3] == ["i20", "i21", "t1"]
    assert order(stock, BloatPolicy())[:2] == ["t1", "t2"], "none would be rebuilt"


def test_places_of_indexes_do_not_starve_tables() -> None:
    stock = a_stock(a_table(1), a_table(2), *(an_index(n) for n in range(20, 30)))
    assert order(stock)[3:5] == ["t1", "t2"]


@pytest.mark.parametrize(
    ("changes", "of_stock"),
    [
        ({"is_unique": True}, {"major": 18}),
        ({"is_rebuildable": False}, {}),
        ({"manageable": False}, {}),
        ({}, {"superfluous": {"public.i20": "index_unused"}}),
        (
            {},
            {"rebuilds": (Rebuild(1, "public.i20", 19, 20, NOW - timedelta(days=1), NOW, 9, 1),)},
        ),
    ],
)
def test_index_that_would_not_be_rebuilt_has_no_reserved_place(
    changes: dict[str, Any], of_stock: dict[str, Any]
) -> None:
    stock = a_stock(a_table(1), an_index(20, **changes), **of_stock)
    assert order(stock) == ["t1", "i20"]


def test_every_relation_has_its_turn_before_any_has_a_second() -> None:
    tables = [a_table(n, megabytes=100 - n) for n in range(1, 18)]
    past: dict[str, list[Past]] = {}
    turns: list[str] = []
    for day in range(20, 14, -1):
        stock = a_stock(*tables, past=past)
        turn = measurement_order(stock, ACTING, NOW)[:MOST_MEASURED]
        turns += [str(each.relation) for each in turn]
        past |= {str(each.relation): measured(day) for each in turn}
    assert len(set(turns[:17])) == 17
    assert sorted(turns[17:]) == sorted(turns[: len(turns) - 17])


def test_relation_that_was_tried_in_vain_waits_like_the_others() -> None:
    slow = with_notes(Method.ESTIMATE, [Note.NOT_MEASURED])
    past = {"public.t1": measured(1, slow), "public.t2": measured(2), "public.t3": measured(3)}
    estimates = {"public.t4": measured(1, "estimate")}
    stock = a_stock(*(a_table(n) for n in range(1, 5)), past=past | estimates)
    assert order(stock) == ["t4", "t3", "t2", "t1"]


def test_what_is_below_its_threshold_or_locked_is_not_measured() -> None:
    locked = replace(a_table(1), freshness=a_table(1).freshness._replace(size_bytes=None))
    assert order(a_stock(locked, a_table(2))) == ["t2"]
    assert order(a_stock(a_table(1), bloat=Bloat(Method.ESTIMATE, 0.3))) == []
    assert order(a_stock(an_index(1), bloat=Bloat(Method.ESTIMATE, 0.3))) == ["i1"]
    assert order(a_stock(a_table(1), bloat=Bloat(Method.UNKNOWN))) == ["t1"]


def test_relation_that_is_too_large_takes_no_place_of_another() -> None:
    huge = [a_table(n, megabytes=MOST_BYTES // MB + 1) for n in range(1, 9)]
    small = [a_table(n) for n in range(10, 20)]
    assert list(affordable([*huge, *small])) == small[:MOST_MEASURED]


# Earlier measurements


def earlier(stock: BloatSnapshot) -> Bloat:
    return with_earlier(stock, NOW).bloat[1]


def test_measurement_holds_until_the_next_turn() -> None:
    past = {"public.t1": [*measured(3, fraction=0.5), *measured(1, "estimate")]}
    found = earlier(a_stock(a_table(1), past=past))
    assert found == Bloat(Method.MEASURED_BEFORE, 0.5)
    unknown = Bloat(Method.UNKNOWN, reason="expressions_or_predicate")
    assert earlier(a_stock(a_table(1), past=past, bloat=unknown)) == found


@pytest.mark.parametrize(
    ("table", "past", "changes"),
    [
        (a_table(1), measured(15), {}),
        (a_table(1, 80), measured(1), {}),
        (a_table(1), measured(1, fraction=0.2), {}),
        (a_table(1), measured(1, "estimate"), {}),
        (a_table(1), measured(1), {"bloat": Bloat(Method.UNKNOWN, reason="locked")}),
        (
            a_table(1),
            measured(1),
            {"rebuilds": (Rebuild(1, "public.t1", 9, 1, NOW - timedelta(hours=1), NOW, 9, 1),)},
        ),
    ],
    ids=["old", "another size", "far from the estimate", "no measurement", "locked", "rebuilt"],
)
def test_measurement_does_not_hold_if_something_speaks_against_it(
    table: ObservedTable, past: list[Past], changes: dict[str, Any]
) -> None:
    stock = a_stock(table, past={"public.t1": past}, **changes)
    assert with_earlier(stock, NOW).bloat == stock.bloat
