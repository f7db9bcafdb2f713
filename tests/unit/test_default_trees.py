"""Which way the rows of a default partition take where partitions are trees."""

from dataclasses import replace

import pytest

from maintenance.catalog.models import Table
from maintenance.catalog.trees import Tree
from maintenance.engine.actions import ActionKind
from tests.snapshots import months, planned
from tests.unit.test_default_plan import MANY, POLICY, a_filled, of_kind, the, the_finding
from tests.unit.test_trees import a_tree, grown, hashed, hashed_month

BECOMES, COPIED = ActionKind.SWAP_DEFAULT, ActionKind.DRAIN_DEFAULT
REST = hashed("events_default", 77)
WITH_IDENTITY = Tree(tuple(b._replace(identity=("id",)) for b in REST.branches))
OTHER = a_tree("events_default", [("rest_all", "DEFAULT")], "LIST (kind)", 77)


def a_table(*, trees: bool, default: Tree | None, lone: str = "2026-10") -> Table:
    """`events` with one month, and rows of November in a default partition that may be a tree."""
    siblings = [hashed_month(lone, 20)] if trees else months(lone, lone)
    table = a_filled(siblings, {"2026-11": MANY})
    if default is None:
        return table
    kept = [p for p in table.partitions if not p.is_default]
    assert table.default is not None
    return replace(table, partitions=(*kept, grown(table.default, default)))


@pytest.mark.parametrize(
    ("trees", "default", "kind"),
    [
        (False, None, BECOMES),
        (True, REST, BECOMES),
        (True, None, COPIED),
        (False, REST, COPIED),
        (True, OTHER, COPIED),
        (True, WITH_IDENTITY, COPIED),
    ],
)
def test_default_partition_becomes_a_month_only_where_it_is_like_one(
    *, trees: bool, default: Tree | None, kind: ActionKind
) -> None:
    plan = planned(POLICY, a_table(trees=trees, default=default))
    assert the(plan, kind)
    assert not of_kind(plan, COPIED if kind is BECOMES else BECOMES)


def test_tables_of_the_default_partition_get_the_names_of_a_sibling() -> None:
    swap = the(planned(POLICY, a_table(trees=True, default=REST)), BECOMES)
    renamed = [s.removeprefix("ALTER TABLE public.") for s in swap.sql if "RENAME" in s]
    assert renamed == [
        "events_default RENAME TO events_default_released",
        "events_default_h0 RENAME TO events_default_h0_released",
        "events_default_h1 RENAME TO events_default_h1_released",
        "events_default_released RENAME TO events_2026_11",
        "events_default_h0_released RENAME TO events_2026_11_h0",
        "events_default_h1_released RENAME TO events_2026_11_h1",
        "events_default_new RENAME TO events_default",
        "events_default_new_h0 RENAME TO events_default_h0",
        "events_default_new_h1 RENAME TO events_default_h1",
    ]


def test_every_table_of_the_default_partition_is_locked() -> None:
    drain = the(planned(POLICY, a_table(trees=False, default=REST)), COPIED)
    locked = {lock.object for step in drain.steps for lock in step.locks}
    assert locked >= {"public.events", "public.events_default_h0", "public.events_default_h1"}


def test_default_partition_with_a_half_detached_table_stays() -> None:
    root, leaf, other = REST.branches
    broken = Tree((root, leaf._replace(detach_pending=True), other))
    plan = planned(POLICY, a_table(trees=True, default=broken))
    assert not of_kind(plan, BECOMES)
    assert not of_kind(plan, COPIED)
    assert the_finding(plan).data["reason"] == "undetachable"
    assert "public.events_default_h0" in the_finding(plan).message


def test_foreign_table_as_default_partition_stays() -> None:
    table = a_table(trees=False, default=None)
    foreign = tuple(p._replace(kind="f") if p.is_default else p for p in table.partitions)
    plan = planned(POLICY, replace(table, partitions=foreign))
    assert the_finding(plan).data["reason"] == "foreign"
