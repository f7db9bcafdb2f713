"""What counts as shared among siblings: a property over random histories, and its corners."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from maintenance.catalog.models import OwnObject, Table
from maintenance.partition_set.bounds import Span, codec_of, coverage_of
from maintenance.subjects.partitions.shared_objects import Sharing, schema_of, sharing_of
from tests.snapshots import NOW, a_partition, a_policy, a_table

INDEX = OwnObject("index", "i", ("CREATE UNIQUE INDEX", "USING btree (id)"))
READ = OwnObject("table", "", (), "empty")


def siblings(having: set[int], n: int = 12, *, locked: tuple[int, ...] = ()) -> Table:
    """A table with months of 2026; those of the given places have the index."""
    partitions = [
        a_partition(
            f"events_2026_{place + 1:02}",
            f"2026-{place + 1:02}-01",
            f"2026-{place + 2:02}-01" if place < 11 else "2027-01-01",
        )._replace(oid=100 + place)
        for place in range(n)
    ]
    table = a_table(partitions)
    objects = {
        100 + place: (READ, INDEX) if place in having else (READ,)
        for place in range(n)
        if place not in locked
    }
    return replace(table, objects={table.oid: (READ,), **objects})


def shared(table: Table) -> tuple[Sharing, list[str]]:
    spans = spans_of(table)
    found = sharing_of(table, spans, NOW, "at")
    return found, [each.relation.name for each in found.lacking]


def spans_of(table: Table) -> list[Span]:
    return list(coverage_of(table.partitions, codec_of(a_policy().partitions[0], table)).spans)


@given(st.sets(st.integers(0, 11)))
def test_only_what_the_newest_two_have_is_carried_and_only_newer_ones_lack_it(
    having: set[int],
) -> None:
    found, lacking = shared(siblings(having))
    newest = {10, 11} <= having or {9, 10} <= having
    assert bool(found.carried) == newest
    if found.lacking:
        first = min(having)
        assert {f"events_2026_{n + 1:02}" for n in range(first, 12) if n not in having} == {
            *lacking
        }
    if len(having) < 2:
        assert found == Sharing()
    if all(n in having for n in range(min(having, default=0), 12)):
        assert not found.lacking


def test_what_only_older_months_have_is_told_and_neither_carried_nor_added() -> None:
    found, lacking = shared(siblings({0, 1, 2, 3, 4, 5, 6}))
    assert not found.carried
    assert lacking == [f"events_2026_{n:02}" for n in range(8, 13)]
    assert not any(each.is_shared for each in found.lacking)


def test_a_locked_month_is_not_known_and_changes_nothing() -> None:
    found, lacking = shared(siblings(set(range(11)), locked=(4, 10)))
    assert found.carried
    assert lacking == ["events_2026_12"]


def test_only_empty_single_months_ahead_are_untouched() -> None:
    found, _ = shared(siblings({0, 1, 9, 10}))
    assert {each.relation.name for each in found.lacking if each.is_untouched} == {"events_2026_12"}


def test_schema_is_that_of_the_newest_months_if_they_agree() -> None:
    table = siblings(set(), 4)
    assert schema_of(spans_of(table), NOW) == "public"
    moved = [
        p._replace(relation=p.relation._replace(schema="parts" if n == 3 else "public"))
        for n, p in enumerate(table.partitions)
    ]
    assert schema_of(spans_of(replace(table, partitions=tuple(moved))), NOW) is None
    assert schema_of([], NOW) is None
