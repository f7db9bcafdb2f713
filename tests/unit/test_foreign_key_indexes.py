"""Indexes that serve foreign keys, keys that are a warning, and the indexes to create for them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.engine.findings import Finding, Severity
from maintenance.names import MAX_NAME_BYTES, QualifiedName, parse_name
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.subjects.indexes.advice import advise
from maintenance.subjects.indexes.foreign_key_findings import (
    MAX_LISTED,
    MAX_STATEMENTS,
    foreign_key_findings,
)
from maintenance.subjects.indexes.foreign_keys import (
    COMMON_SHARE,
    MAX_ROWS_READ,
    MAX_SEARCHES,
    columns_to_weigh,
    searches,
    servants,
    serves,
    sole_servants,
    unindexed,
)
from maintenance.subjects.indexes.key_indexes import candidates, key_indexes
from maintenance.subjects.indexes.models import Catalog, Column, ForeignKey, Index, Key, Table
from maintenance.subjects.indexes.observation import IndexesObservation
from maintenance.subjects.indexes.usage import Epoch, ServerUsage, Usage

NOW = datetime(2026, 11, 20, tzinfo=UTC)
PARENT, CHILD = 1, 2
ROWS = 1_000_000


def name(text: str) -> QualifiedName:
    return QualifiedName("public", text)


def a_table(oid: int = CHILD, distinct: Sequence[float | None] = (), **facts: Any) -> Table:
    """A table of a million rows, with the distinct values of its columns 1, 2, …"""
    columns = {n: Column(f"c{n}", 4, count) for n, count in enumerate(distinct, 1)}
    defaults: dict[str, Any] = {"rows": ROWS, "pages": 10_000, "columns": columns}
    return Table(oid, name(f"t{oid}"), **(defaults | facts))


def a_key(*columns: int, table: int = CHILD, **facts: Any) -> ForeignKey:
    names = tuple(f"c{column}" for column in columns)
    facts = {"referenced_oid": PARENT} | facts
    return ForeignKey(facts.pop("name", "k"), table, columns, names, name("t1"), **facts)


def an_index(*columns: int, oid: int = 100, table: int = CHILD, **facts: Any) -> Index:
    keys = tuple(Key(column, 1, 0, 0) for column in columns)
    return Index(oid, name(f"i{oid}"), table, facts.pop("method", "btree"), keys, **facts)


def a_catalog(
    *indexes: Index,
    keys: Sequence[ForeignKey] = (),
    tables: Sequence[Table] = (),
    **facts: Any,
) -> Catalog:
    known = {table.oid: table for table in (a_table(PARENT, n_deleted=70), a_table(), *tables)}
    return Catalog(indexes, known, tuple(keys), **facts)


# Which index serves


@pytest.mark.parametrize(
    ("index", "served"),
    [
        (an_index(1, 2), True),
        (an_index(2, 1, 3), True),
        (an_index(3, 1, 2), False),
        (an_index(1, 2, is_valid=False), False),
        (an_index(1, 2, method="brin"), False),
        (an_index(1, 2, method="gist"), True),
        (an_index(1, 2, predicate="(c1 IS NOT NULL)"), True),
        (an_index(1, 2, predicate="((c2 IS NOT NULL) AND (c1 IS NOT NULL))"), True),
        (an_index(1, 2, predicate="((c2 IS NOT NULL) AND (c3 IS NOT NULL))"), False),
        (an_index(1, 2, predicate="(c1 > 5)"), False),
        (an_index(1), False),
    ],
    ids=str,
)
def test_index_that_begins_with_the_key_serves_it(index: Index, served: bool) -> None:
    assert serves(index, a_key(1, 2)) == served


@pytest.mark.parametrize(
    ("distinct", "served"),
    [
        (ROWS / MAX_ROWS_READ, True),
        (ROWS / MAX_ROWS_READ - 1, False),
        (-0.5, True),
        (3, False),
        (0, False),
        (None, False),
    ],
)
def test_part_of_a_key_serves_it_if_few_rows_have_the_same_value(
    distinct: float | None, served: bool
) -> None:
    for index in (an_index(1), an_index(1, 3), an_index(1, method="hash")):
        assert serves(index, a_key(1, 2), a_table(distinct=[distinct])) == served


def test_the_rarest_part_decides() -> None:
    table = a_table(distinct=[3, 100_000])
    assert serves(an_index(1, 2), a_key(1, 2, 3), table)
    assert not serves(an_index(1, 3), a_key(1, 2, 4), table)


def test_nulls_reference_nothing_and_a_common_value_counts_by_its_rows() -> None:
    column = Column("c1", 4, 500)
    for facts, served in (
        ({}, False),
        ({"null_fraction": 0.6}, True),
        ({"null_fraction": 1}, True),
        ({"null_fraction": 0.6, "top_frequency": COMMON_SHARE}, True),
        ({"null_fraction": 0.6, "top_frequency": 2 * COMMON_SHARE}, False),
    ):
        table = a_table(columns={1: column._replace(**facts)})
        assert serves(an_index(1), a_key(1, 2), table) == served, facts


def test_period_is_found_by_gist_or_by_a_selective_part() -> None:
    key = a_key(1, 2, is_period=True)
    assert serves(an_index(1, 2, method="gist"), key)
    assert not serves(an_index(1, 2), key)
    assert not serves(an_index(2, 1), key, a_table(distinct=[-1, -1]))
    assert serves(an_index(1, 2), key, a_table(distinct=[-1]))
    assert not serves(an_index(1, 2), key, a_table(distinct=[3]))


def test_index_of_another_collation_does_not_serve() -> None:
    assert serves(an_index(1), a_key(1, collations=(0,)))
    assert not serves(an_index(1), a_key(1, collations=(950,)))


@pytest.mark.parametrize(
    ("index", "distinct", "wanted"),
    [
        (an_index(2, 1), [None, 5], 5),
        (an_index(2, 3, 1), [None, 5, 4], 20),
        (an_index(2, 1), [None, MAX_SEARCHES + 1], None),
        (an_index(2, 1), [None, None], None),
        (an_index(2, 1, method="gist"), [None, 5], None),
        (an_index(2, 1, predicate="(c2 > 5)"), [None, 5], None),
        (an_index(2, 3), [None, 5], None),
        (an_index(1, 2), [None, 5], None),
    ],
    ids=str,
)
def test_skip_scan_searches_once_for_each_value_before_the_key(
    index: Index, distinct: Sequence[float | None], wanted: float | None
) -> None:
    assert searches(index, a_key(1), a_table(distinct=distinct)) == wanted


def test_skip_scan_searches_nulls_too_and_may_find_a_selective_part() -> None:
    columns = {2: Column("c2", 4, 5, null_fraction=0.1)}
    assert searches(an_index(2, 1), a_key(1), a_table(columns=columns)) == 6
    assert searches(an_index(2, 1), a_key(1, 3), a_table(distinct=[-1, 5])) == 5
    assert searches(an_index(2, 1), a_key(1, 3), a_table(distinct=[9, 5])) is None


# Servants


def test_skip_scan_is_a_servant_only_where_no_index_serves() -> None:
    table = a_table(distinct=[None, 5])
    skips, full = an_index(2, 1, oid=1), an_index(1, oid=2)
    for indexes, has_skip_scan, wanted in (
        ([skips, full], True, [full]),
        ([skips], True, [skips]),
        ([skips], False, []),
    ):
        catalog = a_catalog(*indexes, keys=[a_key(1)], tables=[table], has_skip_scan=has_skip_scan)
        assert servants(catalog) == {a_key(1): wanted}
        assert bool(unindexed(servants(catalog), catalog)) == (full not in indexes)


ROOT = a_key(1, table=10, oid=50)
LEAVES = [a_key(1, table=11, oid=51, root=50), a_key(4, table=12, oid=52, root=50)]
TREE = [
    a_table(10, kind="p", pages=0, rows=-1),
    a_table(11, parent=10),
    a_table(12, parent=10),
]


def a_tree(*indexes: Index, **facts: Any) -> Catalog:
    return a_catalog(*indexes, keys=[LEAVES[1], ROOT, LEAVES[0]], tables=TREE, **facts)


def test_partitioned_table_is_served_if_each_leaf_is() -> None:
    one, other = an_index(1, oid=1, table=11), an_index(4, oid=2, table=12)
    catalog = a_tree(one, other)
    assert unindexed(servants(catalog), catalog) == []
    assert sole_servants(servants(catalog)) == {1: [LEAVES[0]], 2: [LEAVES[1]]}
    catalog = a_tree(one)
    (found,) = unindexed(servants(catalog), catalog)
    assert (found.key, found.parts, found.rows) == (ROOT, (LEAVES[1],), 2 * ROWS)


def test_partitioned_index_is_the_servant_of_all_its_leaves_once() -> None:
    root = an_index(1, oid=1, table=10, is_partitioned=True)
    one = an_index(1, oid=2, table=11, parent=1)
    other = an_index(4, oid=3, table=12, parent=1)
    found = sole_servants(servants(a_tree(root, one, other)))
    assert [key.root for key in found[1]] == [50]
    assert set(found) == {1}
    beside = an_index(1, oid=4, table=11)
    assert set(sole_servants(servants(a_tree(root, one, other, beside)))) == {1}


def test_key_with_a_table_that_is_not_visible_is_left_out() -> None:
    catalog = a_tree(blind={TREE[1].relation: []})
    assert unindexed(servants(catalog), catalog) == []
    gone = replace(catalog, tables={o: t for o, t in catalog.tables.items() if o != 11}, blind={})
    assert unindexed(servants(gone), gone) == []


def test_statistics_are_read_only_where_they_decide() -> None:
    keys = [a_key(1, 2)]
    assert columns_to_weigh(a_catalog(an_index(1, 2), an_index(1), keys=keys)) == set()
    assert columns_to_weigh(a_catalog(an_index(3, 4), keys=keys)) == set()
    for has_skip_scan, wanted in ((False, {1}), (True, {1, 2, 3})):
        catalog = a_catalog(
            an_index(1, 5), an_index(3, 2, 6), keys=keys, has_skip_scan=has_skip_scan
        )
        assert columns_to_weigh(catalog) == {(CHILD, number) for number in wanted}


# The finding


def the_finding(catalog: Catalog, *, is_counting: bool = True) -> Finding | None:
    limits = IndexesPolicy()
    usage = Usage(
        Epoch(1, 1, None, NOW - timedelta(days=7)), NOW, {}, False, is_counting=is_counting
    )
    servers = (ServerUsage("primary", usage),)
    advice = advise(catalog, servers, limits, NOW)
    found = foreign_key_findings("app", limits, IndexesObservation(catalog, servers, advice, "me"))
    return found[0] if found else None


def test_keys_that_a_skip_scan_serves_are_counted_apart() -> None:
    keys = [a_key(1, name="skipped", oid=1), a_key(3, name="unserved", oid=2)]
    table = a_table(distinct=[-1, 5, -1])
    for known, wanted in ((keys, (2, 1)), (keys[:1], (1, 1)), (keys[1:], (1, 0))):
        finding = the_finding(
            a_catalog(an_index(2, 1), keys=known, tables=[table], has_skip_scan=True)
        )
        assert finding is not None
        assert (finding.data["n_foreign_keys"], finding.data["n_skip_scanned"]) == wanted


@pytest.mark.parametrize(
    ("tables", "indexes", "severity", "rows_read"),
    [
        ([], [], Severity.WARN, ROWS),
        ([a_table(PARENT)], [], Severity.INFO, ROWS),
        ([a_table(PARENT, n_updated=9)], [], Severity.INFO, ROWS),
        ([a_table(rows=900, pages=10)], [], Severity.INFO, 900),
        ([a_table(rows=900, pages=200)], [], Severity.WARN, 900),
        ([a_table(distinct=[200])], [an_index(1)], Severity.INFO, 5_000),
        ([a_table(distinct=[20])], [an_index(1)], Severity.WARN, 50_000),
        ([], [an_index(1)], Severity.INFO, None),
    ],
)
def test_warning_needs_deletes_and_much_to_read(
    tables: Sequence[Table], indexes: Sequence[Index], severity: Severity, rows_read: float | None
) -> None:
    finding = the_finding(a_catalog(*indexes, keys=[a_key(1, 2)], tables=tables))
    assert finding is not None
    assert finding.severity is severity
    assert finding.value == (severity is Severity.WARN)
    (fact,) = finding.data["foreign_keys"]
    assert (fact["severity"], fact["rows_read"]) == (severity.value, rows_read)


def test_counters_that_are_switched_off_prove_no_deletes() -> None:
    finding = the_finding(a_catalog(keys=[a_key(1)]), is_counting=False)
    assert finding is not None
    assert finding.severity is Severity.INFO
    assert finding.data["foreign_keys"][0]["deletes"] is None


@pytest.mark.parametrize("rows", [0, 1])
def test_table_without_rows_is_left_out(rows: int) -> None:
    assert the_finding(a_catalog(keys=[a_key(1)], tables=[a_table(rows=rows, pages=0)])) is None


def test_table_of_unknown_size_is_told_as_information() -> None:
    """Of a table that was never analyzed nothing says that it stays empty."""
    finding = the_finding(a_catalog(keys=[a_key(1)], tables=[a_table(rows=-1, pages=0)]))
    assert finding is not None
    assert finding.severity is Severity.INFO
    assert [each["rows"] for each in finding.data["foreign_keys"]] == [0]


def test_table_that_was_never_analyzed_is_counted_by_its_inserts() -> None:
    table = a_table(rows=-1, pages=0, n_live=20_000)
    finding = the_finding(a_catalog(keys=[a_key(1)], tables=[table]))
    assert finding is not None
    assert finding.severity is Severity.WARN


def test_most_deletes_come_first_then_the_largest_table() -> None:
    tables = [
        a_table(3, n_deleted=500),
        a_table(4, pages=99_000),
        a_table(5, pages=10, rows=9),
    ]
    keys = [
        a_key(1, table=CHILD, name="b"),
        a_key(1, table=4, name="a"),
        a_key(1, table=5, name="first", referenced_oid=3),
    ]
    finding = the_finding(a_catalog(keys=keys, tables=tables))
    assert finding is not None
    assert [fact["constraint"] for fact in finding.data["foreign_keys"]] == ["first", "a", "b"]
    assert [fact["deletes_per_day"] for fact in finding.data["foreign_keys"]] == [71.4, 10, 10]


def test_table_of_a_run_is_left_out() -> None:
    table = a_table()._replace(relation=name("maintenance_drain_1_x"))
    assert the_finding(a_catalog(keys=[a_key(1)], tables=[table])) is None


def test_list_of_keys_is_limited_and_their_number_is_not() -> None:
    keys = [a_key(1, name=f"k{n}", oid=n) for n in range(1, MAX_LISTED + 20)]
    finding = the_finding(a_catalog(keys=keys))
    assert finding is not None
    assert len(finding.data["foreign_keys"]) == MAX_LISTED
    assert finding.data["n_foreign_keys"] == MAX_LISTED + 19


def test_statements_of_very_wide_trees_are_limited() -> None:
    n_leaves = MAX_STATEMENTS // 3
    tables = [a_table(10, kind="p", pages=0, rows=-1)]
    tables += [a_table(11 + n, parent=10) for n in range(n_leaves)]
    keys = [
        a_key(
            column,
            table=table.oid,
            oid=1000 * column + table.oid,
            root=1000 * column + 10 if table.parent else None,
            name=f"k{column}",
        )
        for column in (1, 2)
        for table in tables
    ]
    finding = the_finding(a_catalog(keys=keys, tables=tables))
    assert finding is not None
    first, other = finding.data["foreign_keys"]
    assert len(first["create"]) == first["n_statements"] == 2 * n_leaves + 1
    assert other["create"] == []
    assert other["n_statements"] == 2 * n_leaves + 1


# Indexes to create

columns = st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True)


@given(st.lists(columns, min_size=1, max_size=6), st.booleans())
def test_the_new_indexes_serve_all_keys_and_none_is_made_twice(
    sets: list[list[int]], are_taken: bool
) -> None:
    keys = [a_key(*each, name=f"k{n}", oid=n) for n, each in enumerate(sets, 1)]
    catalog = a_catalog(keys=keys)
    wanted = unindexed(servants(catalog), catalog)
    names = candidates(wanted, catalog)
    taken = {name(each) for each in names if are_taken and each.endswith("_idx")}
    made = key_indexes(wanted, catalog, taken)
    statements = [statement for index in made for statement in index.statements]
    assert len(statements) == len(set(statements)) <= len({frozenset(each) for each in sets})
    for each, index in zip(wanted, made, strict=True):
        numbers = [int(column.removeprefix("c")) for column in index.columns]
        assert serves(an_index(*numbers), each.key)
        assert index.relation not in taken


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    st.integers(1, 30),
)
def test_names_fit_and_are_free(text: str, n_taken: int) -> None:
    relation = name(text.encode()[:MAX_NAME_BYTES].decode(errors="ignore") or "t")
    catalog = a_catalog(keys=[a_key(1)], tables=[a_table()._replace(relation=relation)])
    wanted = unindexed(servants(catalog), catalog)
    taken: set[QualifiedName] = set()
    for _ in range(n_taken):
        (index,) = key_indexes(wanted, catalog, taken)
        assert len(index.relation.name.encode()) <= MAX_NAME_BYTES
        assert index.relation not in taken
        assert parse_name(str(index.relation)) == index.relation
        taken.add(index.relation)


def test_partitioned_table_gets_an_index_of_each_leaf_and_one_to_attach_them_to() -> None:
    keys = [each._replace(collations=(0,)) for each in (ROOT, *LEAVES)]
    keys = [key._replace(names=("c",)) for key in keys]
    catalog = a_catalog(an_index(4, oid=2, table=12), keys=keys, tables=TREE)
    (made,) = key_indexes(unindexed(servants(catalog), catalog), catalog, ())
    assert made.locks_writers
    assert made.statements == (
        "CREATE INDEX t10_c_idx ON ONLY public.t10 (c)",
        "CREATE INDEX CONCURRENTLY t11_c_idx ON public.t11 (c)",
        "ALTER INDEX public.t10_c_idx ATTACH PARTITION public.t11_c_idx",
        "ALTER INDEX public.t10_c_idx ATTACH PARTITION public.i2",
    )
