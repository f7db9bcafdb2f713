"""Orders the creation of missing partitions: future periods, the current one, then past ones."""

from collections.abc import Collection, Iterator, Sequence

from maintenance.engine.actions import Action
from maintenance.partition_set.expected import PeriodRange
from maintenance.subjects.partitions.create import create, create_beside
from maintenance.subjects.partitions.default_drain import drain
from maintenance.subjects.partitions.default_remedy import Drain, Remedy, Swap
from maintenance.subjects.partitions.default_swap import swap
from maintenance.subjects.partitions.state import PartitionState


def fill(
    state: PartitionState, free: Sequence[PeriodRange], remedy: Remedy, role: str
) -> Iterator[Action]:
    """Yield the actions that create the missing partitions of a table.

    Args:
        state: the table compared with its policy.
        free: the missing periods whose partition name is free.
        remedy: the remedy for the rows in its default partition.
        role: our role, to know whether owners must be set.
    """
    if not isinstance(remedy, Swap | Drain):
        yield from _create(state, free, role)
        return
    rest = [slot for slot in free if slot not in remedy.slots]
    # Future periods first: once they exist, no concurrent insert is refused.
    ahead = [slot for slot in rest if slot.lower > state.position]
    made = list(_create(state, ahead, role))
    yield from made
    action = _remedy(state, remedy, role, tuple(action.id for action in made))
    yield action
    behind = [slot for slot in rest if slot.lower <= state.position]
    yield from _create(state, behind, role, remedied=isinstance(remedy, Swap), after=(action.id,))


def _remedy(
    state: PartitionState, remedy: Swap | Drain, role: str, after: tuple[str, ...]
) -> Action:
    if isinstance(remedy, Swap):
        return swap(state, remedy.slots, role, after)
    return drain(state, remedy.slots, after)


def _create(
    state: PartitionState,
    slots: Collection[PeriodRange],
    role: str,
    *,
    remedied: bool = False,
    after: tuple[str, ...] = (),
) -> Iterator[Action]:
    """Yield the creation of periods, except those with rows in the default partition."""
    small = remedied or state.default_is_small
    occupied = set(state.occupied)
    for slot in slots:
        if slot in occupied:
            continue
        alone = small or state.holds_now(slot)
        yield (create if alone else create_beside)(state, slot, role, after=after)
