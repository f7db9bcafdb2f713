"""Chooses the remedy for rows in a default partition: swap, drain, or none."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from maintenance.catalog.trees import Tree
from maintenance.names import QualifiedName
from maintenance.partition_set.expected import PeriodRange
from maintenance.subjects.partitions.default_rows import DefaultContents
from maintenance.subjects.partitions.state import PartitionState


@dataclass(frozen=True, slots=True)
class Swap:
    """The default partition becomes the partition of these adjacent periods; no row is moved."""

    slots: tuple[PeriodRange, ...]


@dataclass(frozen=True, slots=True)
class Drain:
    """The rows of these periods are copied into new partitions; the others are not moved."""

    slots: tuple[PeriodRange, ...]


@dataclass(frozen=True, slots=True)
class Blocked:
    """The rows can't be moved automatically.

    Attributes:
        reason: the reason, as a short code.
        text: the reason, in words.
        by: the relations that block it, if any.
    """

    reason: str
    text: str
    by: tuple[QualifiedName, ...] = ()


Remedy = Swap | Drain | Blocked | None


def remedy_of(state: PartitionState, taken: Collection[PeriodRange]) -> Remedy:
    """Choose the remedy for the rows in a table's default partition.

    Only rows within the window are moved: one row of the year 2097 creates no partition. The
    current period is included, so that no concurrent insert is refused.

    Args:
        state: the table compared with its policy, with the contents of its default partition.
        taken: periods without a partition whose partition name is in use by another relation.
    """
    holding = state.holding
    if holding is None:
        return None
    open_ = [slot for slot in state.uncovered if slot not in taken]
    rows_of = {held.slot for held in holding.held}
    chosen = [slot for slot in open_ if slot in rows_of or state.holds_now(slot)]
    if not rows_of.intersection(chosen) and (not chosen or state.default_is_small):
        return None
    stuck = _obstacle(state)
    if stuck is not None:
        return stuck
    stretch = state.between(chosen[0], chosen[-1])
    if _all_within(holding, stretch) and set(stretch) <= set(open_) and _is_like_siblings(state):
        return Swap(tuple(stretch))
    return Drain(tuple(chosen))


def _obstacle(state: PartitionState) -> Blocked | None:
    table = state.table
    if table.referenced_by:
        others = ", ".join(map(str, table.referenced_by))
        return Blocked(
            "referenced",
            f"foreign keys of {others} reference the table, so PostgreSQL refuses to detach"
            " referenced rows",
            tuple(table.referenced_by),
        )
    if state.siblings.unbuildable is not None:
        return Blocked(
            "unbuildable",
            "the other partitions are partitioned themselves, and none can serve as template:"
            f" {state.siblings.unbuildable}; repair the newest of them",
        )
    if table.default is not None and table.default.kind not in ("r", "p"):
        return Blocked("foreign", "it is a foreign table: move its rows by hand")
    obstacle = table.default.whole.obstacle if table.default is not None else None
    return Blocked("undetachable", obstacle) if obstacle is not None else None


def _is_like_siblings(state: PartitionState) -> bool:
    """Whether the default partition can become a regular partition unchanged.

    One with identity columns is copied: PostgreSQL adds none below the top of an attached tree.
    """
    default, model = state.table.default, state.siblings.tree
    assert default is not None, "it has rows"
    if model is None or default.tree is None:
        return default.tree is None and model is None
    return not default.tree.root.identity and _keys(default.tree) == _keys(model)


def _keys(tree: Tree) -> dict[tuple[str, ...], str | None]:
    return {path: branch.partition_by for path, branch in tree.paths().items()}


def _all_within(holding: DefaultContents, stretch: Sequence[PeriodRange]) -> bool:
    inside = sum(held.n_rows for held in holding.held if held.slot in stretch)
    return inside == holding.n_rows
