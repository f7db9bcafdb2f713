"""How the tables of one partition are built, and what they are called."""

from maintenance.catalog.models import Partition
from maintenance.ddl.trees import Blueprint, plain
from maintenance.keys import PAST
from maintenance.names import QualifiedName
from maintenance.partitions.naming import Dated, tree_names
from maintenance.partitions.siblings import Siblings
from maintenance.periods import Period, period_at
from maintenance.policy import PartitionPolicy


def of_period(
    policy: PartitionPolicy, siblings: Siblings, partition: QualifiedName, period: Period
) -> Blueprint:
    """Return how the partition of a period is built like its siblings."""
    model, tree = siblings.model, siblings.tree
    if model is None or tree is None:
        return plain(partition)
    part_of, part = policy.period_part, ""
    if model.lower > PAST:
        part = part_of(period_at(model.lower, policy.interval, policy.time_zone))
    old = Dated(tree.root.relation.name, part)
    return Blueprint(tree, tree_names(tree, old, partition, part_of(period)))


def in_place(default: Partition) -> Blueprint:
    """Return how the default partition is built, under its own names."""
    branches = default.whole.branches
    return Blueprint(default.whole, {branch.oid: branch.relation for branch in branches})


def like_default(default: Partition, partition: QualifiedName) -> Blueprint:
    """Return how a partition is built like the default partition, under another name."""
    old = Dated(default.relation.name, "")
    return Blueprint(default.whole, tree_names(default.whole, old, partition, ""))
