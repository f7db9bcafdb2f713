"""The advice of one run is one plan: its drops can all be carried out together."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maintenance.names import QualifiedName
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.subjects.indexes.advice import Advice, advise
from maintenance.subjects.indexes.drop_plan import Drop, without_conflicts
from maintenance.subjects.indexes.foreign_keys import servants
from maintenance.subjects.indexes.models import Catalog, Column, ForeignKey, Index, Key, Table
from maintenance.subjects.indexes.trees import Tree
from maintenance.subjects.indexes.usage import Baseline, Count, Epoch, ServerUsage, Usage
from maintenance.subjects.indexes.verdicts import Case, IssueKind, KeptFor, Verdict

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SINCE = NOW - timedelta(days=35)
LONG_AGO = NOW - timedelta(days=400)
LIMITS = IndexesPolicy()
EPOCH = Epoch(1, 1, None, LONG_AGO)
BEFORE = SINCE - timedelta(hours=1)
LARGE = 1_000
"""Blocks: 8 MB."""


def a_table(oid: int, name: str = "t", **changes: Any) -> Table:
    facts: dict[str, Any] = {"pages": 5_000, "rows": 200_000, "n_live": 200_000}
    return Table(oid, QualifiedName("public", name), **(facts | changes))


def keyed(*columns: int) -> tuple[Key, ...]:
    return tuple(Key(column, 1, 0, 0) for column in columns)


def an_index(oid: int, *columns: int, **changes: Any) -> Index:
    facts: dict[str, Any] = {
        "relation": QualifiedName("public", f"i{oid}"),
        "table_oid": 1,
        "method": "btree",
        "keys": keyed(*columns),
        "pages": LARGE,
    }
    return Index(oid, **(facts | changes))


def a_key(*columns: int, table: int = 1, name: str = "fk") -> ForeignKey:
    names = tuple(f"c{column}" for column in columns)
    return ForeignKey(name, table, columns, names, QualifiedName("public", "other"))


def counted(
    scans: Mapping[int, int], indexes: Sequence[Index], unknown: Sequence[int] = ()
) -> ServerUsage:
    """A server watched for the whole window; the counters of `unknown` indexes ran backwards."""
    counts = {index.oid: Count(5 + scans.get(index.oid, 0)) for index in indexes}
    before = {index.oid: 99 if index.oid in unknown else 5 for index in indexes}
    return ServerUsage("primary", Usage(EPOCH, NOW, counts), Baseline(EPOCH, BEFORE, before))


def advice(
    *indexes: Index,
    scans: Mapping[int, int] | None = None,
    keys: Sequence[ForeignKey] = (),
    unknown: Sequence[int] = (),
    table: Table | None = None,
    **catalog: Any,
) -> Advice:
    tables = {1: table or a_table(1)}
    witness = counted(scans or {}, indexes, unknown)
    return advise(Catalog(indexes, tables, tuple(keys), **catalog), [witness], LIMITS, NOW)


def drops(advice: Advice) -> dict[int, IssueKind]:
    return {v.tree.root.oid: v.charge for v in advice.verdicts if v.is_drop}


def kept(advice: Advice) -> dict[int, KeptFor | None]:
    return {v.tree.root.oid: v.kept_for for v in advice.verdicts if not v.is_drop}


# Pairs


def test_of_a_pair_the_one_that_is_read_stays() -> None:
    pair = an_index(1, 1), an_index(2, 1, 2, pages=4 * LARGE)
    assert drops(advice(*pair, scans={1: 12}, keys=[a_key(1)])) == {2: IssueKind.UNUSED}
    assert drops(advice(*pair, scans={2: 12})) == {1: IssueKind.REDUNDANT}
    assert drops(advice(*pair, scans={1: 3, 2: 12})) == {1: IssueKind.REDUNDANT}


def test_pair_that_nothing_reads_goes_as_a_whole_or_leaves_the_smaller_for_a_foreign_key() -> None:
    pair = an_index(1, 1), an_index(2, 1, 2, pages=4 * LARGE)
    assert drops(advice(*pair)) == {1: IssueKind.UNUSED, 2: IssueKind.UNUSED}
    found = advice(*pair, keys=[a_key(1)])
    assert drops(found) == {2: IssueKind.UNUSED}
    assert kept(found) == {1: KeptFor.FOREIGN_KEY}


def test_pair_whose_longer_one_is_not_read_is_left_until_there_is_evidence() -> None:
    pair = an_index(1, 1), an_index(2, 1, 2)
    young = Usage(EPOCH._replace(server_reset_at=NOW - timedelta(hours=1)), NOW, {1: Count(12)})
    found = advise(Catalog(pair, {1: a_table(1)}), [ServerUsage("p", young)], LIMITS, NOW)
    assert drops(found) == {}
    assert kept(found) == {1: KeptFor.READS}
    both = replace(young, counts={1: Count(12), 2: Count(1)})
    found = advise(Catalog(pair, {1: a_table(1)}), [ServerUsage("p", both)], LIMITS, NOW)
    assert drops(found) == {1: IssueKind.REDUNDANT}


def look(*indexes: Index, scans: Mapping[int, int], promised: Container[str] = ()) -> Advice:
    """Advice on servers that count for an hour."""
    counts = {index.oid: Count(scans.get(index.oid, 0)) for index in indexes}
    young = Usage(EPOCH._replace(server_reset_at=NOW - timedelta(hours=1)), NOW, counts)
    catalog = Catalog(indexes, {1: a_table(1)})
    return advise(catalog, [ServerUsage("p", young)], LIMITS, NOW, promised=promised)


def test_pair_that_nothing_reads_is_left_until_it_is_known_that_the_longer_one_is_read() -> None:
    """Else the longer one may be reported as unused later, after its readers got used to it."""
    pair = an_index(1, 1), an_index(2, 1, 2)
    first = look(*pair, scans={})
    assert (drops(first), kept(first)) == ({}, {1: KeptFor.EVIDENCE})
    assert drops(look(*pair, scans={2: 1})) == {1: IssueKind.REDUNDANT}
    for fact in ("is_unique", "is_clustered", "is_replica_identity"):
        other = an_index(2, 1, 2, **{fact: True})
        assert drops(look(pair[0], other, scans={})) == {1: IssueKind.REDUNDANT}, fact


def test_copy_goes_also_where_both_are_kept_beside_a_longer_one() -> None:
    indexes = an_index(1, 1), an_index(2, 1), an_index(3, 1), an_index(4, 1, 2)
    found = look(*indexes, scans={})
    assert drops(found) == {2: IssueKind.DUPLICATE, 3: IssueKind.DUPLICATE}
    assert kept(found) == {1: KeptFor.EVIDENCE}
    assert drops(look(*indexes, scans={3: 5})).keys() == {1, 2}


def test_of_equals_the_one_stays_of_which_an_earlier_run_said_so() -> None:
    pair = an_index(1, 1), an_index(2, 1)
    assert drops(look(*pair, scans={})) == {2: IssueKind.DUPLICATE}
    assert drops(look(*pair, scans={2: 9})) == {1: IssueKind.DUPLICATE}
    assert drops(look(*pair, scans={2: 9}, promised={"public.i1"})) == {2: IssueKind.DUPLICATE}
    unique = an_index(2, 1, is_unique=True)
    found = look(pair[0], unique, scans={}, promised={"public.i1"})
    assert drops(found) == {1: IssueKind.DUPLICATE}


def test_index_of_one_partition_is_left_while_the_partitioned_one_may_be_unused() -> None:
    """The part of the partitioned one can't be dropped alone, so it can't be the one that goes."""
    tables = {1: a_table(1, "p", kind="p"), 2: a_table(2, "p1", parent=1)}
    whole = an_index(1, 1, is_partitioned=True, pages=0)
    indexes = (whole, an_index(11, 1, parent=1, table_oid=2), an_index(12, 1, table_oid=2))
    catalog = Catalog(indexes, tables)
    young = Usage(EPOCH._replace(server_reset_at=NOW - timedelta(hours=1)), NOW, {})
    first = advise(catalog, [ServerUsage("p", young)], LIMITS, NOW)
    assert (drops(first), kept(first)) == ({}, {12: KeptFor.EVIDENCE})
    later = advise(catalog, [counted({12: 1}, indexes)], LIMITS, NOW)
    assert (drops(later), kept(later)) == ({1: IssueKind.UNUSED}, {})
    read = advise(catalog, [counted({11: 1}, indexes)], LIMITS, NOW)
    assert drops(read) == {12: IssueKind.DUPLICATE}


def test_pair_is_left_while_evidence_is_lost_so_that_an_older_report_stays_right() -> None:
    """The longer one may be reported as unused, which stands while a replica is down."""
    pair = an_index(1, 1), an_index(2, 1, 2)
    catalog = Catalog(pair, {1: a_table(1)})
    witness, down = counted({}, pair), ServerUsage("replica", None, silence="down")
    found = advise(catalog, [witness, down], LIMITS, NOW)
    assert (drops(found), kept(found)) == ({}, {1: KeptFor.EVIDENCE})
    found = advise(catalog, [counted({2: 3}, pair), down], LIMITS, NOW)
    assert drops(found) == {1: IssueKind.REDUNDANT}


def test_longer_one_that_has_another_purpose_replaces_one_that_is_read() -> None:
    pair = an_index(1, 1), an_index(2, 1, 2, is_unique=True)
    assert drops(advice(*pair, scans={1: 12})) == {1: IssueKind.REDUNDANT}


def test_one_that_is_read_is_not_dropped_for_one_much_larger() -> None:
    pair = an_index(1, 1), an_index(2, 1, 2, is_unique=True, pages=6 * LARGE)
    found = advice(*pair, scans={1: 12})
    assert drops(found) == {}
    assert kept(found) == {1: KeptFor.SIZE}
    assert found.verdicts[0].by_pages == 6 * LARGE
    assert drops(advice(*pair, scans={2: 12})) == {1: IssueKind.REDUNDANT}


def test_of_equals_the_one_that_is_read_stays() -> None:
    """If the other one stayed, it would look unused as soon as this one is gone."""
    pair = an_index(1, 1), an_index(2, 1)
    assert drops(advice(*pair, scans={1: 3})) == {2: IssueKind.DUPLICATE}
    assert drops(advice(*pair, scans={2: 3})) == {1: IssueKind.DUPLICATE}
    assert drops(advice(*pair, scans={1: 3, 2: 3})) == {2: IssueKind.DUPLICATE}
    assert drops(advice(*pair)) == {1: IssueKind.UNUSED, 2: IssueKind.UNUSED}


def test_chain_is_covered_by_its_longest_that_stays() -> None:
    chain = an_index(1, 1), an_index(2, 1, 2), an_index(3, 1, 2, 3)
    everything = advice(*chain, scans={1: 1, 2: 1, 3: 1})
    assert {v.by.oid for v in everything.verdicts if v.by is not None} == {3}
    assert drops(everything) == {1: IssueKind.REDUNDANT, 2: IssueKind.REDUNDANT}
    found = advice(*chain, scans={1: 1, 2: 1})
    assert drops(found) == {1: IssueKind.REDUNDANT, 3: IssueKind.UNUSED}
    assert [v.by.oid for v in found.verdicts if v.by is not None] == [2]


def test_unused_index_that_another_covers_is_redundant_by_it() -> None:
    found = advice(an_index(1, 1), an_index(2, 1, 2), scans={2: 4})
    assert drops(found) == {1: IssueKind.REDUNDANT}


def test_index_of_one_partition_is_not_covered_by_a_part_of_one_that_goes() -> None:
    tables = {1: a_table(1, "p", kind="p", rows=-1), 2: a_table(2, "p1")}
    shorter = an_index(1, 1, 2, is_partitioned=True, pages=0)
    longer = an_index(2, 1, 2, 3, is_partitioned=True, pages=0)
    parts = an_index(11, 1, 2, parent=1, table_oid=2), an_index(12, 1, 2, 3, parent=2, table_oid=2)
    own = an_index(13, 1, table_oid=2)
    indexes = (shorter, longer, *parts, own)
    witness = counted({11: 4, 12: 4, 13: 4}, indexes)
    found = advise(Catalog(indexes, tables), [witness], LIMITS, NOW)
    assert drops(found) == {1: IssueKind.REDUNDANT, 13: IssueKind.REDUNDANT}
    assert {v.tree.root.oid: v.by.oid for v in found.verdicts if v.by} == {1: 2, 13: 12}


def test_partitioned_index_is_not_called_unused_while_a_partition_is_locked() -> None:
    whole, part = a_table(1, "p", kind="p"), a_table(2, "p1", parent=1)
    locked = a_table(3, "p2", parent=1)
    indexes = (
        an_index(1, 1, is_partitioned=True, pages=0),
        an_index(11, 1, parent=1, table_oid=2),
    )
    catalog = Catalog(indexes, {1: whole, 2: part, 3: locked})
    witness = counted({}, indexes)
    assert drops(advise(catalog, [witness], LIMITS, NOW)) == {1: IssueKind.UNUSED}
    found = advise(replace(catalog, blind={locked.relation: []}), [witness], LIMITS, NOW)
    assert found.verdicts == ()
    assert found.unproven == indexes[:1]


# Few values


def few(column: int, **changes: Any) -> Table:
    even: dict[str, Any] = {
        "n_distinct": 2,
        "n_common": 2,
        "common_fraction": 1,
        "least_common": 0.4,
    }
    return a_table(1, columns={column: Column("state", 4, **(even | changes))})


SMALL = 60
"""Blocks: too small to be reported as unused."""


def test_index_on_few_values_is_reported_only_if_nothing_reads_it() -> None:
    index = an_index(1, 1, pages=SMALL)
    assert drops(advice(index, table=few(1))) == {1: IssueKind.LOW_CARDINALITY}
    assert advice(index, table=few(1), scans={1: 1}).verdicts == ()
    assert advice(index, table=few(1), unknown=[1]).verdicts == ()


@pytest.mark.parametrize(
    "distribution",
    [
        {"least_common": 0.0005},
        {"null_fraction": 0.001},
        {"n_distinct": 3, "common_fraction": 0.999},
        {"n_common": 0},
        {"n_distinct": None},
    ],
    ids=["a rare value", "rare nulls", "a value too rare to be listed", "unknown", "no statistics"],
)
def test_index_that_may_serve_a_rare_value_is_not_reported(distribution: dict[str, Any]) -> None:
    assert advice(an_index(1, 1, pages=SMALL), table=few(1, **distribution)).verdicts == ()


def test_hundred_values_of_one_percent_are_few_and_none_of_them_is_rare() -> None:
    even = few(1, n_distinct=100, n_common=100, least_common=0.009)
    assert drops(advice(an_index(1, 1, pages=SMALL), table=even)) == {1: IssueKind.LOW_CARDINALITY}


def test_index_on_few_values_that_stays_for_another_one_is_not_dropped() -> None:
    two = few(1)
    table = two._replace(columns={1: two.columns[1], 2: two.columns[1]})
    shorter, longer = an_index(1, 1, pages=SMALL), an_index(2, 1, 2, pages=SMALL)
    assert drops(advice(shorter, longer, table=table)) == {1: IssueKind.REDUNDANT}


# Size


@pytest.mark.parametrize(
    "size",
    [
        {"rows": 0, "pages": 0, "n_live": 0},
        {"rows": -1, "pages": 0, "n_live": 0},
        {"rows": 1, "pages": 8, "n_live": 1},
        {"rows": 40, "pages": 1, "n_live": 44},
    ],
    ids=str,
)
def test_tables_of_one_row_or_one_block_get_no_advice(size: dict[str, Any]) -> None:
    assert advice(an_index(1, 1), an_index(2, 1), table=a_table(1, **size)).verdicts == ()


@pytest.mark.parametrize(
    "size",
    [{"rows": 0, "pages": 0, "n_live": 5_000}, {"rows": -1, "pages": 0, "n_live": 300}],
    ids=str,
)
def test_table_that_was_just_loaded_is_not_taken_for_empty(size: dict[str, Any]) -> None:
    pair = an_index(1, 1), an_index(2, 1)
    assert advice(*pair, table=a_table(1, **size)).verdicts


# Skip scan


def test_unused_index_names_another_one_that_a_skip_scan_can_use() -> None:
    table = few(1)._replace(columns={1: Column("a", 4, 3), 2: Column("b", 4, -1)})
    pair = an_index(1, 2), an_index(2, 1, 2)
    found = advice(*pair, scans={2: 4}, table=table, has_skip_scan=True)
    assert drops(found) == {1: IssueKind.UNUSED}, "(b) is not redundant by (a, b)"
    assert found.verdicts[0].skip_scans == (pair[1],)
    assert advice(*pair, scans={2: 4}, table=table).verdicts[0].skip_scans == ()
    many = table._replace(columns={1: Column("a", 4, 5_000), 2: Column("b", 4, -1)})
    found = advice(*pair, scans={2: 4}, table=many, has_skip_scan=True)
    assert found.verdicts[0].skip_scans == ()
    found = advice(*pair, table=table, has_skip_scan=True)
    assert [v.skip_scans for v in found.verdicts] == [(), ()], "the other one goes too"


# The check before anything is told


def test_drops_that_conflict_are_left_out() -> None:
    indexes = an_index(1, 1), an_index(2, 1, 2), an_index(3, 1, 3)
    witness = counted({3: 1}, indexes)
    cases = [Case(Tree(i, (i,)), {1: a_table(1)}, (witness,), SINCE) for i in indexes]
    served = servants(Catalog(indexes, {1: a_table(1)}, (a_key(1),)))
    first, second, third = cases

    def carried_out(*planned: Drop) -> set[int]:
        plan = {drop.case.index.oid: drop for drop in planned}
        return set(without_conflicts(plan, cases, served, LIMITS))

    covered = Drop(first, IssueKind.REDUNDANT, indexes[1])
    unused = Drop(second, IssueKind.UNUSED)
    assert carried_out(covered, unused) == {2}, "the one that is said to stay goes"
    assert carried_out(Drop(first, IssueKind.UNUSED), unused) == {1, 2}
    assert carried_out(Drop(third, IssueKind.UNUSED)) == set(), "it is read"
    assert carried_out(Drop(third, IssueKind.REDUNDANT, indexes[0])) == set(), "nothing covers it"
    alone = servants(Catalog(indexes[:2], {1: a_table(1)}, (a_key(1),)))
    both = {1: Drop(first, IssueKind.UNUSED), 2: unused}
    assert without_conflicts(both, cases, alone, LIMITS) == {}, "the foreign key needs one"


# Any set of indexes


@dataclass(frozen=True)
class World:
    """Indexes of a plain table (1), a partitioned table (2) and its partitions (3, 4)."""

    indexes: tuple[Index, ...]
    keys: tuple[ForeignKey, ...]
    scans: Mapping[int, int]
    unknown: frozenset[int]
    columns: Mapping[int, Column]

    @property
    def tables(self) -> dict[int, Table]:
        whole = a_table(2, "t2", kind="p", columns=self.columns)
        parents = {1: None, 3: 2, 4: 2}
        return {2: whole} | {
            oid: a_table(oid, f"t{oid}", parent=parent, columns=self.columns)
            for oid, parent in parents.items()
        }

    @property
    def stored(self) -> list[Index]:
        return [index for index in self.indexes if not index.is_partitioned]


columns = st.lists(st.integers(1, 3), min_size=1, max_size=3, unique=True).map(tuple)
properties = st.fixed_dictionaries(
    {
        "pages": st.sampled_from([0, 1, 60, 200, 1_000, 9_000]),
        "is_unique": st.sampled_from([False, False, False, True]),
        "is_valid": st.sampled_from([True] * 9 + [False]),
        "predicate": st.sampled_from([None, None, None, "(c1 > 0)"]),
        "included": st.sampled_from([frozenset[int](), frozenset[int](), frozenset({3})]),
        "is_replica_identity": st.sampled_from([False] * 9 + [True]),
        "is_clustered": st.sampled_from([False] * 9 + [True]),
    }
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    indexes: list[Index] = []
    for number in range(draw(st.integers(1, 8))):
        oid = 10 * (number + 1)
        facts = draw(properties)
        if facts["is_unique"] and draw(st.booleans()):
            facts["constraint"] = f"c{oid}"
        table = draw(st.sampled_from([1, 1, 1, 2, 2, 3]))
        root = an_index(oid, *draw(columns), table_oid=table, **facts)
        if table != 2:
            indexes.append(root)
            continue
        indexes.append(root._replace(is_partitioned=True, pages=0))
        for part in (3, 4):
            name = QualifiedName("public", f"i{oid}_{part}")
            attached = {"oid": oid + part, "table_oid": part, "parent": oid, "constraint": None}
            indexes.append(root._replace(relation=name, is_valid=True, **attached))
    oids = [index.oid for index in indexes if not index.is_partitioned]
    keys: list[ForeignKey] = []
    for number in range(1, draw(st.integers(1, 4))):
        table = draw(st.sampled_from([1, 1, 2, 3]))
        key = a_key(*draw(columns), table=table, name=f"fk{number}")._replace(oid=100 * number)
        parts = (3, 4) if table == 2 else ()
        inherited = ({"table_oid": part, "oid": key.oid + part, "root": key.oid} for part in parts)
        keys += [key, *(key._replace(**facts) for facts in inherited)]
    column = st.builds(
        Column,
        st.just("c"),
        st.just(4),
        st.sampled_from([None, 2, 50, -0.5]),
        null_fraction=st.just(0.0),
        top_frequency=st.just(0.0),
        n_common=st.sampled_from([0, 2]),
        common_fraction=st.just(1.0),
        least_common=st.sampled_from([0.001, 0.5]),
    )
    return World(
        tuple(indexes),
        tuple(keys),
        {oid: draw(st.sampled_from([0, 0, 0, 1, 50])) for oid in oids},
        frozenset(draw(st.lists(st.sampled_from(oids or [0]), max_size=2))),
        {number: draw(column) for number in (1, 2, 3)},
    )


def finds_all(a: Index, b: Index) -> bool:
    """Whether index A finds, by the same conditions and in the same order, all that B does."""
    n = len(b.keys)
    held = {key.of for key in a.keys} | a.included
    return (
        a.is_valid
        and a.table_oid == b.table_oid
        and a.predicate == b.predicate
        and [key.of for key in a.keys[:n]] == [key.of for key in b.keys]
        and b.included <= held
    )


def enforces(a: Index, b: Index) -> bool:
    return a.is_unique and {key.of for key in a.keys} == {key.of for key in b.keys}


def has_index(key: ForeignKey, indexes: Sequence[Index], selective: set[int]) -> bool:
    """Whether an index begins with all columns of a key, or with some and a nearly unique one."""
    return any(
        index.table_oid == key.table_oid
        and index.is_valid
        and index.predicate is None
        and (begun := {part.of for part in takewhile(lambda k: k.of in key.columns, index.keys)})
        and (begun == set(key.columns) or bool(begun & selective))
        for index in indexes
    )


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_all_drops_together_leave_queries_keys_and_constraints_as_they_were(world: World) -> None:
    catalog = Catalog(world.indexes, world.tables, world.keys)
    witness = counted(world.scans, world.indexes, sorted(world.unknown))
    found = advise(catalog, [witness], LIMITS, NOW)
    gone = carried_out(world, found)
    assert_nothing_is_lost(world, gone)
    for verdict in found.verdicts:
        assert_told_truly(verdict, gone)


def carried_out(world: World, *advice: Advice) -> set[int]:
    """The indexes that are gone once all advice was followed."""
    gone = {v.tree.root.oid for found in advice for v in found.verdicts if v.is_drop}
    return gone | {index.oid for index in world.indexes if index.parent in gone}


def assert_nothing_is_lost(world: World, gone: set[int]) -> None:
    staying = [index for index in world.indexes if index.oid not in gone]
    selective = {number for number, each in world.columns.items() if each.n_distinct == -0.5}
    # The rows of a partitioned table are in its partitions, whose keys are checked.
    for key in (key for key in world.keys if world.tables[key.table_oid].kind != "p"):
        before = has_index(key, world.indexes, selective)
        assert has_index(key, staying, selective) or not before, key
    for index in world.stored:
        if index.oid not in gone or not index.is_valid:
            continue
        assert not index.is_replica_identity
        assert not index.is_clustered
        rest = [other for other in staying if finds_all(other, index)]
        if world.scans[index.oid] or index.oid in world.unknown:
            assert rest, "it may be read, and nothing replaces it"
        if index.is_unique:
            assert any(enforces(other, index) for other in rest)


def assert_told_truly(verdict: Verdict, gone: set[int]) -> None:
    if verdict.by is not None:
        assert verdict.by.oid not in gone, "it is said to stay"
    assert not {other.oid for other in verdict.skip_scans} & gone


@settings(max_examples=400, deadline=None)
@given(worlds(), st.sets(st.integers(10, 90)))
def test_advice_of_a_first_look_and_of_a_later_one_can_both_be_followed(
    world: World, read: set[int]
) -> None:
    """Indexes that were read at the first look are read later, too; others may be."""
    catalog = Catalog(world.indexes, world.tables, world.keys)
    young = Usage(
        EPOCH._replace(server_reset_at=NOW - timedelta(hours=1)),
        NOW,
        {oid: Count(n if oid in read else 0) for oid, n in world.scans.items()},
    )
    first = advise(catalog, [ServerUsage("primary", young)], LIMITS, NOW)
    promised = {str(v.by.relation) for v in first.verdicts if v.by is not None}
    witness = counted(world.scans, world.indexes, sorted(world.unknown))
    later = advise(catalog, [witness], LIMITS, NOW, promised=promised)
    assert_nothing_is_lost(world, carried_out(world, first, later))


@settings(max_examples=100, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_order_of_the_catalog_changes_nothing(world: World, random: Any) -> None:
    witness = counted(world.scans, world.indexes, sorted(world.unknown))
    shuffled = list(world.indexes)
    random.shuffle(shuffled)
    first, second = (
        advise(Catalog(tuple(indexes), world.tables, world.keys), [witness], LIMITS, NOW)
        for indexes in (world.indexes, shuffled)
    )
    assert drops(first) == drops(second)


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_index_that_stays_for_another_one_stays_after_that_went(world: World) -> None:
    witness = counted(world.scans, world.indexes, sorted(world.unknown))
    found = advise(Catalog(world.indexes, world.tables, world.keys), [witness], LIMITS, NOW)
    gone = set(drops(found))
    gone |= {index.oid for index in world.indexes if index.parent in gone}
    left = tuple(index for index in world.indexes if index.oid not in gone)
    # What one that went served is now read by the one that stays for it.
    read = {v.by.oid: 1 for v in found.verdicts if v.is_drop and v.by is not None}
    again = advise(
        Catalog(left, world.tables, world.keys),
        [counted({**world.scans, **read}, left, sorted(world.unknown))],
        LIMITS,
        NOW,
    )
    covering = {oid for oid in read if oid not in drops(again)}
    replaced = {v.tree.root.oid for v in again.verdicts if v.is_drop and v.by is not None}
    assert set(read) - covering <= replaced
