"""Trees: which sibling is the model, what is said of the others, how new tables are named."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.catalog.models import Partition, Properties
from maintenance.catalog.trees import Branch, Tree
from maintenance.engine.actions import Action
from maintenance.engine.findings import Severity
from maintenance.names import MAX_NAME_BYTES, QualifiedName
from maintenance.policy.name_templates import period_part, render
from maintenance.subjects.partitions.names import Dated, tree_names
from tests.snapshots import a_policy, a_table, months, planned

TWO_HASHES = (
    "FOR VALUES WITH (modulus 2, remainder 0)",
    "FOR VALUES WITH (modulus 2, remainder 1)",
)


def a_tree(
    root: str, below: Sequence[tuple[str, str]], partition_by: str = "HASH (id)", first: int = 10
) -> Tree:
    """A tree of one level: the name of each table below its root, and its bound."""
    top = Branch(1, first, QualifiedName("public", root), "p", partition_by=partition_by)
    leaves = (
        Branch(first, first + n, QualifiedName("public", name), "r", bound=bound)
        for n, (name, bound) in enumerate(below, start=1)
    )
    return Tree((top, *leaves))


def hashed(root: str, first: int = 10) -> Tree:
    return a_tree(root, [(f"{root}_h{n}", b) for n, b in enumerate(TWO_HASHES)], first=first)


def grown(partition: Partition, tree: Tree) -> Partition:
    return partition._replace(kind="p", tree=tree, oid=tree.root.oid)


def month(key: str, tree: Tree | None = None) -> Partition:
    (plain,) = months(key, key)
    return grown(plain, tree) if tree is not None else plain


def hashed_month(key: str, first: int = 10) -> Partition:
    return month(key, hashed(f"events_{key.replace('-', '_')}", first))


def made(action: Action) -> list[str]:
    return [statement for statement in action.sql if statement.startswith("CREATE TABLE")]


def test_new_month_is_a_tree_like_its_newest_sibling() -> None:
    old = month("2026-10", a_tree("events_2026_10", [("events_2026_10_all", "DEFAULT")]))
    plan = planned(a_policy({"premake": 1}), a_table([old, hashed_month("2026-11", 20)]))
    (action,) = plan.actions
    assert [statement.split(" (")[0] for statement in made(action)] == [
        "CREATE TABLE public.events_2026_12",
        "CREATE TABLE public.events_2026_12_h0",
        "CREATE TABLE public.events_2026_12_h1",
    ]
    assert made(action)[0].endswith(" PARTITION BY HASH (id)")
    attached = [s for s in action.sql if "ATTACH" in s]
    assert attached[-1].startswith("ALTER TABLE public.events ATTACH PARTITION")


def test_plain_sibling_that_is_newer_changes_nothing() -> None:
    siblings = [hashed_month("2026-10"), month("2026-11")]
    plan = planned(a_policy({"premake": 1}), a_table(siblings))
    assert len(made(plan.actions[0])) == 3
    (finding,) = (f for f in plan.findings if f.kind == "partition_property_drift")
    assert finding.severity is Severity.INFO
    assert finding.data["reasons"] == {"public.events_2026_11": ["not_partitioned"]}


def test_where_the_parent_has_identities_branches_are_attached_after_their_parents() -> None:
    tree = hashed("events_2026_11")
    branches = tuple(branch._replace(identity=("id",)) for branch in tree.branches)
    plan = planned(a_policy({"premake": 1}), a_table([month("2026-11", Tree(branches))]))
    attached = [s.split(" FOR ")[0] for s in plan.actions[0].sql if "ATTACH" in s]
    assert attached == [
        "ALTER TABLE public.events ATTACH PARTITION public.events_2026_12",
        "ALTER TABLE public.events_2026_12 ATTACH PARTITION public.events_2026_12_h0",
        "ALTER TABLE public.events_2026_12 ATTACH PARTITION public.events_2026_12_h1",
    ]


def test_every_table_of_a_tree_gets_owner_and_rights_and_its_own_options() -> None:
    tree = hashed("events_2026_11")
    root, leaf, other = tree.branches
    leaf = leaf._replace(
        options=("fillfactor=70",),
        settings=(("Id", "statistics", "500"),),
        publications=("feed",),
        tablespace="fast",
    )
    table = a_table(
        [month("2026-11", Tree((root, leaf, other)))], properties=Properties("boss", "f")
    )
    (action,) = planned(a_policy({"premake": 1}), table).actions
    for name in ("events_2026_12", "events_2026_12_h0", "events_2026_12_h1"):
        assert f"ALTER TABLE public.{name} OWNER TO boss" in action.sql
        assert f"ALTER TABLE public.{name} REPLICA IDENTITY FULL" in action.sql
    column = 'ALTER TABLE ONLY public.events_2026_12_h0 ALTER COLUMN "Id" SET STATISTICS 500'
    assert column in action.sql
    assert "ALTER PUBLICATION feed ADD TABLE ONLY public.events_2026_12_h0" in action.sql
    assert made(action)[1].endswith(" WITH (fillfactor = '70') TABLESPACE fast")


BY_TIME = [("a", "FOR VALUES FROM ('2026-11-01') TO ('2026-11-02')")]


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        (a_tree("m", BY_TIME, "RANGE (at)"), "bound_by_time"),
        (a_tree("m", [("a", "DEFAULT")], "LIST (date_part('day'::text, at))"), "bound_by_time"),
        (a_tree("m", [("a", TWO_HASHES[0])]), "remainders_lacking"),
        (a_tree("m", []), "no_partitions"),
    ],
)
def test_tree_that_cannot_be_built_again_stops_creation_and_says_why(
    tree: Tree, reason: str
) -> None:
    plan = planned(a_policy(), a_table([month("2026-11", tree)]))
    assert plan.actions == ()
    (finding,) = (f for f in plan.findings if f.kind == "partition_property_drift")
    assert finding.severity is Severity.ERROR
    assert finding.data["reason"] == reason
    assert finding.data["reasons"] == {"public.events_2026_11": [reason]}


def test_model_is_the_newest_sibling_that_is_whole() -> None:
    broken = month("2026-11", a_tree("events_2026_11", [("x", TWO_HASHES[0])], first=30))
    plan = planned(a_policy({"premake": 1}), a_table([hashed_month("2026-10"), broken]))
    assert len(made(plan.actions[0])) == 3
    (finding,) = (f for f in plan.findings if f.kind == "partition_property_drift")
    assert finding.severity is Severity.WARN
    reasons = finding.data["reasons"]["public.events_2026_11"]
    assert "remainders_lacking" in reasons
    assert finding.data["reason"] is None


def test_leaves_that_differ_across_siblings_are_named() -> None:
    tree = hashed("events_2026_10")
    root, leaf, other = tree.branches
    odd = Tree((root, leaf._replace(options=("fillfactor=10",)), other))
    table = a_table([month("2026-10", odd), hashed_month("2026-11", 20)])
    (finding,) = (
        f for f in planned(a_policy(), table).findings if f.kind == "partition_property_drift"
    )
    assert finding.severity is Severity.INFO
    assert finding.data["reasons"] == {"public.events_2026_10_h0": ["storage_options"]}
    assert "fillfactor=10" in finding.message


def test_name_of_a_leaf_that_is_taken_is_a_finding() -> None:
    taken = QualifiedName("public", "events_2026_12_h1")
    table = a_table([hashed_month("2026-11")])
    plan = planned(a_policy({"premake": 1}), table, taken={taken: "r"})
    assert plan.actions == ()
    (finding,) = (f for f in plan.findings if f.kind == "partition_name_taken")
    assert finding.data["names"] == [str(taken)]


def test_rows_of_a_default_partition_stay_where_months_are_trees() -> None:
    default = Partition(7, QualifiedName("public", "d"), "r", False, 9, 9, "DEFAULT")
    table = a_table([hashed_month("2026-11"), default], default_has_rows=True)
    plan = planned(a_policy({"premake": 1}), table)
    assert {action.kind.value for action in plan.actions} == {"create_partition"}


def test_half_detached_and_foreign_tables_forbid_to_detach_a_tree() -> None:
    tree = hashed("m")
    root, leaf, other = tree.branches
    assert tree.fault is None
    pending = replace(tree, branches=(root, leaf._replace(detach_pending=True), other))
    assert reason_of(pending) == "detach_pending"
    foreign = replace(tree, branches=(root, leaf._replace(kind="f"), other))
    assert reason_of(foreign) == "foreign"
    torn = replace(tree, branches=(root._replace(identity=("id",)), leaf, other))
    assert reason_of(torn) == "identity_lacking"


def reason_of(tree: Tree) -> str | None:
    return tree.fault.reason if tree.fault is not None else None


# Names


@pytest.mark.parametrize(
    ("leaf", "wanted"),
    [
        ("events_2026_11_h0", "events_2026_12_h0"),
        ("h0_events_2026_11", "h0_events_2026_12"),
        ("events_h0_2026_11", "events_h0_2026_12"),
        ("leaf one", "events_2026_12_p1"),
        ("e" * 50 + "_2026_11_h0", "e" * 50 + "_2026_12_h0"),
    ],
)
def test_leaf_is_named_as_its_sibling(leaf: str, wanted: str) -> None:
    names = named("events_2026_11", [leaf])
    assert names[1] == wanted


def test_long_name_keeps_period_and_suffix() -> None:
    old = render("{table}_{yyyy}_{mm}", "é" * 40, day(11))
    names = named(old, [f"{old[:10]}_2026_11_hash_0", f"{old}_h0"], table="é" * 40)
    assert names[1] == f"{old[:10]}_2026_12_hash_0"
    assert names[2].endswith("é_2026_12_h0")
    assert len(names[2].encode()) <= MAX_NAME_BYTES


def test_tables_in_the_middle_give_their_names_to_those_below() -> None:
    tree = a_tree("events_2026_11", [("eleven_a", "DEFAULT")], "LIST (kind)")
    middle = tree.branches[1]._replace(kind="p", partition_by="HASH (id)")
    leaf = Branch(middle.oid, 50, QualifiedName("public", "eleven_a_0"), "r", bound=TWO_HASHES[0])
    model = Tree((tree.root, middle, leaf))
    new = QualifiedName("public", "events_2026_12")
    names = tree_names(model, Dated("events_2026_11", "2026_11"), new, "2026_12")
    assert [name.name for name in names.values()] == [
        "events_2026_12",
        "events_2026_12_p1",
        "events_2026_12_p1_0",
    ]


def day(number: int) -> date:
    return date(2026, number, 1)


def named(old: str, leaves: Sequence[str], table: str = "events") -> list[str]:
    template = "{table}_{yyyy}_{mm}"
    model = a_tree(old, [(leaf, f"bound {n}") for n, leaf in enumerate(leaves)])
    new = QualifiedName("public", render(template, table, day(12)))
    part = period_part(template, day(11))
    names = tree_names(model, Dated(old, part), new, period_part(template, day(12)))
    return [name.name for name in names.values()]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(
    table=texts,
    leaves=st.lists(
        st.one_of(texts, st.builds("{}_2026_11_{}".format, texts, texts)), max_size=12, unique=True
    ),
)
def test_names_fit_and_no_two_are_the_same(table: str, leaves: list[str]) -> None:
    old = render("{table}_{yyyy}_{mm}", table, day(11))
    names = named(old, leaves, table)
    assert len(set(names)) == len(leaves) + 1
    assert all(0 < len(name.encode()) <= MAX_NAME_BYTES for name in names)
    assert names == named(old, leaves, table)
