"""What one table lacks, in the order in which it is made: ahead of now, now, behind."""

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
    """Yield what makes the missing partitions of a table.

    Args:
        state: the table held against its policy.
        free: the missing periods whose partition's name is free.
        remedy: what is done about the rows in its default partition.
        role: who we are, to know whether owners must be set.
    """
    if not isinstance(remedy, Swap | Drain):
        yield from _create(state, free, role)
        return
    rest = [slot for slot in free if slot not in remedy.slots]
    # What lies ahead comes first: from then on nothing that is written now is refused.
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
    """Yield the creation of periods; one with rows in the default partition can't be created."""
    small = remedied or state.default_is_small
    occupied = set(state.occupied)
    for slot in slots:
        if slot in occupied:
            continue
        alone = small or state.holds_now(slot)
        yield (create if alone else create_beside)(state, slot, role, after=after)
