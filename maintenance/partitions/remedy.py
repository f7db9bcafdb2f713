"""How the rows of a filled default partition are put right: in place, by a copy, or not at all."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from maintenance.partitioning.window import Slot
from maintenance.partitions.holding import Holding
from maintenance.partitions.outlook import Outlook


@dataclass(frozen=True, slots=True)
class Swap:
    """The table itself becomes the partition of these neighbouring periods; no row moves."""

    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class Drain:
    """The rows of these periods are copied into partitions; the others stay behind."""

    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class Stuck:
    """There are such rows, and nothing that we may do about them; the reason, in words."""

    reason: str


Remedy = Swap | Drain | Stuck | None


def remedy_of(outlook: Outlook, taken: Collection[Slot]) -> Remedy:
    """Choose what is done about the rows in a table's default partition.

    Rows are put right within the window only: one row of the year 2097 makes no partition. The
    period that holds now is taken along, so that nothing written meanwhile is refused.

    Args:
        outlook: the table held against its policy, with what its default partition holds.
        taken: periods without a partition whose partition's name something else bears.
    """
    holding = outlook.holding
    if holding is None:
        return None
    open_ = [slot for slot in outlook.uncovered if slot not in taken]
    rows_of = {held.slot for held in holding.held}
    chosen = [slot for slot in open_ if slot in rows_of or slot.period == outlook.current]
    if not rows_of.intersection(chosen) and (not chosen or outlook.default_is_small):
        return None
    reason = _obstacle(outlook)
    if reason is not None:
        return Stuck(reason)
    stretch = outlook.between(chosen[0], chosen[-1])
    if _all_within(holding, stretch) and set(stretch) <= set(open_):
        return Swap(tuple(stretch))
    return Drain(tuple(chosen))


def _obstacle(outlook: Outlook) -> str | None:
    table = outlook.table
    if table.referenced_by:
        others = ", ".join(map(str, table.referenced_by))
        return f"foreign keys of {others} point to the table, and PostgreSQL detaches no rows then"
    if outlook.siblings.are_trees:
        return (
            "the other partitions are partitioned themselves, and rows are only put into plain"
            " ones: detach the default partition, let the next run make the missing partitions,"
            " and insert its rows into the table"
        )
    if table.default is not None and table.default.kind != "r":
        return "it is no plain table"
    return None


def _all_within(holding: Holding, stretch: Sequence[Slot]) -> bool:
    inside = sum(held.n_rows for held in holding.held if held.slot in stretch)
    return inside == holding.n_rows
