"""How the tables of one partition are built, and what they are called."""

from zoneinfo import ZoneInfo

from maintenance.catalog.models import Partition
from maintenance.ddl.trees import Blueprint, plain
from maintenance.keys import PAST
from maintenance.names import QualifiedName
from maintenance.partitioning.window import Slot, stamp
from maintenance.partitions.naming import Dated, bridge_name, tree_names
from maintenance.partitions.siblings import Siblings
from maintenance.periods import period_at
from maintenance.policy import PartitionPolicy


def slot_name(policy: PartitionPolicy, slot: Slot) -> str:
    """Return the name of a slot's partition; a part of a period is named after its beginning."""
    name = policy.child_name(slot.period)
    return bridge_name(name, policy.table.name, stamp(slot.lower)) if slot.is_bridge else name


def of_slot(
    policy: PartitionPolicy,
    siblings: Siblings,
    calendar: ZoneInfo,
    partition: QualifiedName,
    slot: Slot,
) -> Blueprint:
    """Return how the partition of a slot is built like its siblings.

    Args:
        policy: the table's.
        siblings: what its partitions have in common.
        calendar: of the positions of their bounds, see `keys.KeyCodec`.
        partition: the new one's name.
        slot: what it holds.
    """
    model, tree = siblings.model, siblings.tree
    if model is None or tree is None:
        return plain(partition)
    part_of, part = policy.period_part, ""
    if model.lower > PAST:
        part = part_of(period_at(model.lower, policy.interval, calendar))
    old = Dated(tree.root.relation.name, part)
    new_part = part_of(slot.period)
    if slot.is_bridge:
        new_part = bridge_name(new_part, policy.table.name, stamp(slot.lower))
    return Blueprint(tree, tree_names(tree, old, partition, new_part))


def in_place(default: Partition) -> Blueprint:
    """Return how the default partition is built, under its own names."""
    branches = default.whole.branches
    return Blueprint(default.whole, {branch.oid: branch.relation for branch in branches})


def like_default(default: Partition, partition: QualifiedName) -> Blueprint:
    """Return how a partition is built like the default partition, under another name."""
    old = Dated(default.relation.name, "")
    return Blueprint(default.whole, tree_names(default.whole, old, partition, ""))
