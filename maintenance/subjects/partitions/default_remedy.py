"""How the rows of a filled default partition are put right: in place, by a copy, or not at all."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from maintenance.catalog.trees import Tree
from maintenance.names import QualifiedName
from maintenance.partition_set.expected import PeriodRange
from maintenance.subjects.partitions.default_rows import DefaultContents
from maintenance.subjects.partitions.state import PartitionState


@dataclass(frozen=True, slots=True)
class Swap:
    """The table itself becomes the partition of these neighbouring periods; no row moves."""

    slots: tuple[PeriodRange, ...]


@dataclass(frozen=True, slots=True)
class Drain:
    """The rows of these periods are copied into partitions; the others stay behind."""

    slots: tuple[PeriodRange, ...]


@dataclass(frozen=True, slots=True)
class Blocked:
    """There are such rows, and nothing that we may do about them.

    Attributes:
        reason: why, as a short code.
        text: why, in words.
        by: the relations that are in the way, where some are.
    """

    reason: str
    text: str
    by: tuple[QualifiedName, ...] = ()


Remedy = Swap | Drain | Blocked | None


def remedy_of(state: PartitionState, taken: Collection[PeriodRange]) -> Remedy:
    """Choose what is done about the rows in a table's default partition.

    Rows are put right within the window only: one row of the year 2097 makes no partition. The
    period that holds now is taken along, so that nothing written meanwhile is refused.

    Args:
        state: the table held against its policy, with what its default partition holds.
        taken: periods without a partition whose partition's name something else bears.
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
            f"foreign keys of {others} point to the table, and PostgreSQL detaches no rows then",
            tuple(table.referenced_by),
        )
    if state.siblings.unbuildable is not None:
        return Blocked(
            "unbuildable",
            "the other partitions are partitioned themselves, and none can be built again:"
            f" {state.siblings.unbuildable}; mend the newest of them",
        )
    if table.default is not None and table.default.kind not in ("r", "p"):
        return Blocked("foreign", "it is no table of this database: move its rows by hand")
    obstacle = table.default.whole.obstacle if table.default is not None else None
    return Blocked("undetachable", obstacle) if obstacle is not None else None


def _is_like_siblings(state: PartitionState) -> bool:
    """Tell whether the default partition can be one of them as it is.

    One with identity columns is copied: PostgreSQL gives an attached tree none below its top.
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
